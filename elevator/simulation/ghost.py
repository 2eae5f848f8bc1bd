"""A phantom node that never moves its car. It acknowledges every call, and claims either all hall calls or none."""

from attrs import define

from elevator.core.messages import Heartbeat
from elevator.core.model import MAX_CARS, NEVER_MS, Author, Behaviour, Buttons, Calls, Car, Direction, Fault

GHOST = Author(MAX_CARS - 1, 1)


@define(eq=False)
class Ghost:
    """A phantom node. Its car stands at `floor` and reports that it is in service."""

    due_at_ms: int = NEVER_MS
    """When the ghost sends its next heartbeat."""
    floor: int = 0
    claims: bool = False
    sequence: int = 0
    known: Calls = Calls()

    def heartbeat(self, floors: int, hears: int, known: Calls) -> Heartbeat:
        """Return the next heartbeat. It acknowledges all *known* calls. *hears* is the bit mask of its live peers."""
        self.sequence += 1
        if known != self.known:  # Equal calls stay the same object, as in decoded heartbeats.
            self.known = known
        hall = self.known.hall if self.claims else Buttons()
        car = Car(self.floor, Direction.UP, Behaviour.IDLE, Fault.NONE)
        return Heartbeat(GHOST, self.sequence, floors, car, hall, hears, self.known, self.known.digest)
