"""The process pair of a node or of `elevator serve-card`: a supervisor and a worker.

If one of them dies or hangs, the other replaces it.

- pair.py is the supervisor: it forks the worker and, if the worker dies or hangs, the next one.
- worker_link.py is the worker's connection to its supervisor. The worker replaces a supervisor that dies or hangs.
- child.py forks named processes and receives termination signals.

Nothing here knows about elevators: of core, it imports only log damping and a constant. In `ps`, the supervisor is
`elevator:pair`, the worker `elevator:worker`, and the recorder (storage) `elevator:disk`. Linux keeps 15 characters of
a name. Users may look for these names, so they must not change.
"""
