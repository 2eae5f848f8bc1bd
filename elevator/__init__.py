"""A group of elevators without a leader: each node drives its own car, and no lit lamp is ever forgotten."""

__version__ = "0.1.0"
