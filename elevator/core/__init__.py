"""The controller of one car and the protocol of the group: frozen values and pure functions, without clock or I/O.

Each node runs one `Node` (node.py). A *turn* (turn.py) takes the newest inputs: the time, the panel, heartbeats of
other nodes, and results from the disk. `step` (step.py) computes the next `Node` from them. The turn then writes the
outputs to the panel, saves the record, and sends a heartbeat when one is due.

Read model.py first: it defines the vocabulary. Then read step.py. A node consists of

    replica       the call set, the part that is on disk, and the lit lamps; call_set.py merges call sets
    peers         the failure detector: which other nodes are alive
    assignment    which car answers which hall call, and where idle cars wait
    drive         the car: position, travel_times and door. act chooses its next action by the rules in motion
    traffic       how many passengers arrive at each hall button
    outgoing      the next heartbeat, and when it is due; outgoing.py explains how the call sets become equal

log_damping is not part of the node: the packages that do I/O use it to decide when to log a recurring fault.

Of the rest of the project, the core imports only the extension `_assign` and the program's version. The nodes and
the simulated world run the same code, so `just soak` tests a change here within a minute. The meaning of dots and
version vectors is part of the wire format: changing it requires a new format.

Decisions:
- Each heartbeat used to carry the whole call set, in several datagrams if necessary. That took 9.5 MB/s in an idle
  group of 64 cars. Now heartbeats carry changes and a digest. No node asks another for missing entries, because entries
  sent in turn arrive as fast, and there is no request that could get lost or be answered by every node.
- A car with an open door serves the calls at its floor immediately, so these calls are excluded from the assignment. A
  penalty in the plan for moving such a call was not enough: if the car with the open door still had a long trip ahead,
  the plan preferred another car at the floor, and both opened their doors. The reference assigner (`--assigner
  reference`) has no such penalty at all.
- A step computes the assignment once. It used to repeat the assignment up to four times, until the car no longer
  changed. Now another step follows immediately if the car's public state or claims change.
- The record used to list all former runs of the node, to tell their cab calls from those of a duplicate. Now the
  incarnation numbers distinguish them (node.py).
- A node that starts while another node uses its id serves calls like any other. The alternative is to wait until the
  duplicate is gone. But passengers would wait too, two nodes that start together would block each other, and replayed
  datagrams could keep a node out of service.
- A car that might serve a call at its open door used to reserve the call for 0.3 s. Now its heartbeat says whether it
  has announced a direction, so the other nodes know which calls it serves.
"""
