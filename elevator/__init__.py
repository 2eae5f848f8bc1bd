"""A group of elevators without a leader: each node drives its own car, and every call whose lamp is lit is served."""

__version__ = "0.1.0"
