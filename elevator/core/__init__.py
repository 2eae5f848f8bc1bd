"""The controller of one car, and how cars share the hall calls: values and pure functions, no clock, socket or disk.

Start with model.py (the vocabulary), then step.py: it folds what a node learns into a frozen `Node`. Outputs and
heartbeats derive from it in node.py; turn.py fixes the order in which they leave the program. A node is made of

    replica       the call set, what the disk holds of it, and which lamps that lights; call_set has its rules
    peers         which nodes are alive, from the loss measured on each link
    assignment    which car answers which hall call, and where idle cars wait
    drive         the car, made of position, travel_times and door; act says what it does next, by the rules of motion
    traffic       how many passengers come to each hall button
    outgoing      what the node tells the others, and when

log_damping, when a fault that comes and goes is logged, is for the packages that touch the outside.

Imports nothing but the extension `_assign` and the program's version. The laboratory and the simulated world run this
very code, so `just soak` judges a change here within a minute. What must not change without a new wire format: the
meaning of dots and of version vectors.

Decisions:
- An open door serves the calls of its floor on the spot, so they are taken out before the plan shares out the rest. As
  a price in the plan it was not enough: another car at the floor was still cheaper when the first had far to go, and
  both opened. The reference assigner knows no such price at all.
- A step shares out the calls once. It used to repeat that until the car did not change any more, up to four times; now
  a step that changed what the others see is followed by another at once.
- A record once listed all former runs of its node, to tell their cab calls from those of a second node with its id. Now
  the incarnations themselves tell (node.py).
- A node that starts beside another with its id serves like any other. It could wait, silent, until the other is gone.
  But its passengers would wait as well, two nodes that start together would wait for each other, and replayed datagrams
  could keep a node out of service.
- A call was kept for 0.3 s from every car with an open door that might serve it. Now an open door publishes whether it
  has announced a direction, so the others know which calls it serves.
"""
