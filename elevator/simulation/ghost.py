"""A phantom node that never moves its car. It acknowledges every durable call, and claims all hall calls or none.

It has no program, disk or elevator. world.py sends its heartbeats.
"""

from attrs import define

from elevator.core.messages import Heartbeat
from elevator.core.model import MAX_CARS, NEVER_MS, Author, Behaviour, Buttons, Calls, Car, Direction, Fault

GHOST = Author(MAX_CARS - 1, 1)


@define(eq=False)
class Ghost:
    """A phantom node. It reports that its car stands at `floor` and is in service."""

    due_at_ms: int = NEVER_MS
    """When the next heartbeat is due; NEVER_MS before the ghost joins."""
    floor: int = 0
    claims: bool = False
    """True if it claims every hall call; False if it claims none."""
    sequence: int = 0
    known: Calls = Calls()

    def heartbeat(self, floors: int, hears: int, known: Calls) -> Heartbeat:
        """Return the next heartbeat, which acknowledges all *known* calls.

        *hears* is the bit mask of the nodes that the heartbeat reports as live peers.
        """
        self.sequence += 1
        if known != self.known:  # Equal calls stay the same object, as in decoded heartbeats.
            self.known = known
        hall = self.known.hall if self.claims else Buttons()
        car = Car(self.floor, Direction.UP, Behaviour.IDLE, Fault.NONE)
        return Heartbeat(GHOST, self.sequence, floors, car, hall, hears, self.known, self.known.digest)
