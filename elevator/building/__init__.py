"""A simulated building for people: elevators, passengers, and ways to look at them and to break them.

Start with elevator.py, one elevator as a pure value on top of shaft.py (its physics). building.py puts elevators behind
real sockets, control.py behind a JSON control socket, card_line.py behind pseudo-terminals. passengers.py rides them,
network.py cuts real nodes off, terminal.py and view.py show it all.

Imports core, net, hardware and ui. No node imports this package. The protocol, options and keys are those of the
course's simulator.
"""
