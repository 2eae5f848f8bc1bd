"""The process pair of a node: a supervisor and a worker. If one dies, the other replaces it within milliseconds.

- pair.py is the supervisor: it forks the worker, detects its death and forks the next one.
- worker_link.py is the worker's connection to its supervisor. The worker replaces a supervisor that is gone.
- child.py forks named processes and receives termination signals.

Nothing here knows about elevators: of core, it imports only log damping and a constant. In `ps`, the supervisor is
`elevator:pair`, the worker `elevator:worker`, and the recorder (storage) `elevator:disk`. Linux keeps 15 characters of
a name. Users may look for these names, so they must not change.
"""
