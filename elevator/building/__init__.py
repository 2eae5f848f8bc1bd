"""A simulated building in real time. Nodes connect to its elevators as they do to real ones.

shaft.py is the physics of one car. elevators.py adds the panel and reports changes as events. protocol.py answers
messages as the elevator server does. All three consist of pure functions on immutable values.

building.py serves these elevators over TCP. card_line.py simulates the lab's I/O card on a pseudo-terminal. history.py
stores the events. Other programs, such as tests, press buttons and inject faults through the control socket. control.py
defines its requests, operations.py executes them and control_socket.py does the I/O.

passengers.py simulates passengers. occupied_building.py runs a building with passengers and executes the requests of a
web page. view.py converts cars, passengers and nodes to JSON for the page. terminal.py shows the building in a
terminal: terminal_picture.py draws it, and keyboard.py defines the keys. network.py relays datagrams between the nodes
of a demo.

This package imports core, net, hardware and ui; nodes never import it. Protocol, options and keys follow the course's
simulator, so programs written for that simulator work unchanged.

The simulation package reuses shaft.py, elevators.py, protocol.py and passengers.py in virtual time, so their functions
take the time as an argument.
"""
