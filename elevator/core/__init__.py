"""The controller of one car, and the protocol of the group.

The core consists of immutable values and pure functions, without a clock or I/O. `Node` (node.py) is the state of a
node. A *turn* (turn.py) takes the newest inputs: the time, the panel, heartbeats, and results from the disk. From the
old `Node` and these inputs, `step` (step.py) computes the next one. Then the turn passes the outputs to the panel and
the record to the disk. If a heartbeat is due, the turn sends it.

The *panel* of a car is what its elevator server or I/O card gives access to: buttons, lamps, floor sensor, door and
motor. The panel *confirms* a command when it answers a later request. The panel is *lost* while the server or card does
not answer.

Read model.py and messages.py first, because they define the vocabulary. Then read step.py. The main parts of a node:

    replica       the call set (call_set.py), the part of it that is on disk, and the lit lamps
    peers         the failure detector: which other nodes are alive
    assignment    which hall calls the car answers, and where it waits when it is idle
    drive         the car: its position, travel times and door. act.py chooses its next action by the rules in motion.py
    traffic       how many passengers arrive at each hall button
    outgoing      the next heartbeat, and when it is due; its introduction explains the protocol

log_damping is not part of the node, and its `Condition` is mutable. The packages that do I/O use it to decide when to
log a recurring fault.

Of the rest of the project, the core imports only the extension `_assign` and the program's version. The simulated
world runs the same code as the nodes, so `just soak` tests a change within a minute. If you change the meaning of dots
or version vectors, also change the number of the wire format.

Decisions:
- Each heartbeat used to carry the whole call set, in several datagrams if necessary. That took 9.5 MB/s in an idle
  group of 64 cars. Now heartbeats carry changes and a digest. Nodes do not request missing entries. A request could get
  lost, or every node could answer it. The entries that nodes send in turn arrive just as fast.
- A car with an open door immediately serves the calls in its direction at its floor, so the plan excludes these calls.
  Earlier, a penalty discouraged the plan from assigning such a call to another car. That was not enough: if the car
  with the open door still had a long trip ahead, the plan preferred another car at the floor, and both opened their
  doors. The reference assigner (`--assigner reference`) has no such penalty at all.
- A step computes the assignment at most once. It used to do so up to four times, until the car's state was stable.
  Now another step follows immediately if a step serves a call or changes the published state of the car, its claims or
  the published long waits. step.py limits how many such steps follow in a row.
- A call counts more with age, so that few people wait very long. At first each node measured the ages itself. But
  after a fault, the nodes disagreed about the ages, so their plans differed, and a call could stay unclaimed for two
  seconds. Now ages are published, and the highest one counts. They are coarse and updated every few seconds, because
  the nodes of a large group decide again whenever one of them publishes a change.
- The record used to list all earlier incarnations of the node, to tell their cab calls from those of a duplicate. Now
  the incarnation numbers are enough for that (node.py).
- A node that starts while another node uses its id serves calls like any other. It does not wait until the duplicate
  is gone. Otherwise passengers would wait too, two nodes that start together would block each other, and replayed
  datagrams could keep a node out of service.
- A car that might serve a call at its open door used to reserve the call for 0.3 s. Now its heartbeat says whether it
  has announced a direction, so that the other nodes know which calls it serves.
"""
