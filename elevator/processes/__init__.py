"""The processes of one node and how they replace each other.

child.py forks a named process that holds only the descriptors it needs. pair.py is the process pair: a supervisor and
its worker. worker_link.py is the worker's end of it. Each replaces the other within milliseconds. Neither knows
anything about elevators.

Imports core (log_damping.py). Names of processes (`elevator:pair`, `elevator:worker`,
`elevator:disk`) are visible in `ps` and stay as they are.
"""
