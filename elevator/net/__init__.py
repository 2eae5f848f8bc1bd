"""What nodes say to each other: heartbeats as datagrams on one UDP broadcast port.

Start with wire.py, the only place that knows the format of a heartbeat; broadcast.py is the port itself. Every datagram
that arrives passes fair_queue (no address starves the others), then admission (sealed with the group's key, newer than
the last) and only then reaches the core.

Imports core. Only broadcast.py touches sockets. All nodes of a group must agree on the format: a change of it needs a
new `FORMAT` in wire.py.
"""
