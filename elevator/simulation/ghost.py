"""A node that never moves its car: it acknowledges everything, and claims every hall call or none."""

from attrs import define

from elevator.core.call_set import demand
from elevator.core.model import (
    MAX_CARS,
    NEVER_MS,
    Author,
    Behaviour,
    Buttons,
    Calls,
    Car,
    Direction,
    Fault,
    Heartbeat,
)

GHOST = Author(MAX_CARS - 1, 1)


@define(eq=False)
class Ghost:
    """What it says; its car stands at a floor in order."""

    due_at_ms: int = NEVER_MS
    """When it speaks next."""
    floor: int = 0
    claims: bool = False
    counter: int = 0
    known: Calls = Calls()

    def heartbeat(self, floors: int, hears: int, known: Calls) -> Heartbeat:
        """Acknowledge all that is *known* on disks in use."""
        self.counter += 1
        if known != self.known:  # Otherwise its heartbeats visibly say the same, as those that are decoded do.
            self.known = known
        hall = demand(self.known.live.values())[0] if self.claims else Buttons()
        car = Car(self.floor, Direction.UP, Behaviour.IDLE, Fault.NONE)
        return Heartbeat(GHOST, self.counter, floors, car, hall, hears, self.known)
