"""Group communication: nodes broadcast heartbeats as datagrams on one UDP port.

- wire.py encodes and decodes heartbeats. No other module knows the format, except for the size of an entry
  (core/outgoing.py).
- seal.py authenticates datagrams with the group's key.
- broadcast.py sends and receives datagrams. It is the only module here that opens sockets.

Received datagrams wait in the queue of fair_queue.py, so that one address cannot starve the others. Then admission.py
drops those that are forged, malformed, old or from another group. The rest reach the core as heartbeats.

Imports core. All nodes of a group must use the same format. A changed format needs a new `FORMAT` in wire.py.
"""
