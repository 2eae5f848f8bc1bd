"""The controller of one car, and how cars share the hall calls: values and pure functions, no clock, socket or disk.

Start with model.py (the vocabulary), then node.py: `step` folds what a node learns into a frozen `Node`, and outputs,
heartbeat and record are derived from it. turn.py fixes the order in which these leave the program.

    call_set      the replicated set of calls: press, serve, merge
    motion        where a car goes next
    drive         its car: position, travel_times and door are the three values it is made of
    peers         which nodes are alive, from the loss measured on each link
    assignment    which car answers which hall call, and where idle cars wait
    traffic       how many passengers come to each hall button
    log_damping   when a fault that comes and goes is logged

Imports nothing but the extension `_assign`. The laboratory and the simulated world run this very code, so a change here
is judged by `just soak` within a minute. What must not change without a new wire format: the meaning of dots and of
version vectors.
"""
