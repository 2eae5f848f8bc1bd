"""The rules of one car: where it goes next, where it stops, what it clears. Pure, over bit masks of floors.

 1. A car continues in its direction while there is work ahead, then turns (collective control).
 2. It stops for a cab call, or for a hall call in its direction. It stops for a hall call in the other direction only
    where no work is left ahead, and turns there.
 3. With its door open it announces one direction and clears the cab call and the hall call in that direction. It never
    clears both hall calls at once: passengers board only a car that goes their way.
 4. If the announced direction has no work when the door is about to close, a hall call in the other direction at this
    floor changes the announcement and begins another dwell time.
 5. A car with nothing to do rests with its door closed.
 6. If there is a better floor to wait at, it goes there with its door closed. A call turns it round at the next floor.

*work* is the hall calls assigned to the car, and its cab calls. An open door also serves hall calls of its floor that
are assigned to other cars, so callers add these (act.py).
"""

from elevator.core.model import EVERY_CAR, Behaviour, Button, Buttons, Call, Direction


def decide(floor: int, direction: Direction, work: Buttons, departing: bool = False) -> tuple[Behaviour, Direction]:
    """Choose what a car at *floor* does next: open (or keep open) its door, move, or rest; and in which direction.

    A *departing* car has just held its door open here: calls elsewhere now come before another period for a call in the
    same direction, so that somebody who keeps pressing cannot hold the car for ever.
    """
    back = direction.opposite
    stays = is_at(work.cab, floor) or is_at(hall(direction, work), floor)
    if stays and not departing:
        return Behaviour.DOOR_OPEN, announced(floor, direction, work)
    if has_work_beyond(floor, direction, work):
        return Behaviour.MOVING, direction
    if is_at(hall(back, work), floor):
        return Behaviour.DOOR_OPEN, back
    if has_work_beyond(floor, back, work):
        return Behaviour.MOVING, back
    return (Behaviour.DOOR_OPEN if stays else Behaviour.IDLE), direction


def wait(floor: int, direction: Direction, target: int | None) -> tuple[Behaviour, Direction]:
    """Choose what a car with nothing to do does at *floor* when it should wait at *target*; None: anywhere."""
    if target is None or target == floor:
        return Behaviour.IDLE, direction
    return Behaviour.MOVING, Direction.UP if target > floor else Direction.DOWN


def announced(floor: int, direction: Direction, work: Buttons) -> Direction:
    """Choose the direction that a car opening its door at *floor* announces: its own if there is any reason for it."""
    if is_at(hall(direction, work), floor) or has_work_beyond(floor, direction, work):
        return direction
    back = direction.opposite
    if is_at(hall(back, work), floor) or has_work_beyond(floor, back, work):
        return back
    return direction


def cleared(floor: int, direction: Direction, work: Buttons, car: int) -> frozenset[Call]:
    """Name the calls that an open door at *floor* serves when *direction* is announced."""
    served = {Call(Button.CAB, floor, car)} if is_at(work.cab, floor) else set()
    if is_at(hall(direction, work), floor):
        served.add(Call(direction.button, floor, EVERY_CAR))
    return frozenset(served)


def has_work_beyond(floor: int, direction: Direction, work: Buttons) -> bool:
    """Tell whether any call lies strictly beyond *floor* in *direction*."""
    every = work.up | work.down | work.cab
    return bool(every >> (floor + 1)) if direction is Direction.UP else bool(every & ((1 << floor) - 1))


def hall(direction: Direction, work: Buttons) -> int:
    """Return the mask of hall calls for *direction*."""
    return work.up if direction is Direction.UP else work.down


def is_at(mask: int, floor: int) -> bool:
    """Tell whether *mask* has *floor*."""
    return bool(mask >> floor & 1)
