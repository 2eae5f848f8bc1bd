"""A simulated building for people, in real time: real nodes connect to its elevators, as they would in the lab.

Start with elevator.py, one elevator as a pure value on top of shaft.py (its physics) and protocol.py (its messages).
building.py puts elevators behind real sockets, card_line.py behind pseudo-terminals, control_socket.py behind a JSON
control socket (control.py has its requests, operations.py what they do). history.py is the log of what happened.
passengers.py rides the elevators, network.py cuts real nodes off from each other. lobby.py is a running building with
passengers and what a page may do to both; view.py is what the page shows. terminal.py, terminal_picture.py and
keyboard.py are the simulator in a terminal.

Imports core, net, hardware and ui. No node imports this package. The protocol, options and keys are those of the
course's simulator.
"""
