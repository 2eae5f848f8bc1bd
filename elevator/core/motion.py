"""The rules of motion of one car: where it goes next, where it stops, and which calls it serves. Pure.

 1. A car continues in its direction while there are calls ahead, then reverses if there are calls behind
    (collective control).
 2. It stops for cab calls, and for hall calls in its direction. If no calls are left ahead, it also stops for a hall
    call in the other direction, and reverses there.
 3. With its door open it serves the cab call for the floor, and the hall call in one direction, which it announces. It
    never serves both hall calls at once, because passengers board only a car that goes in their direction.
 4. When the door is about to close, there may be no calls ahead, but a hall call in the other direction at this floor.
    The car then announces that direction, and another dwell time begins.
 5. An idle car waits with its door closed.
 6. An idle car may go to another floor to wait there. A call can reverse it at the next floor.

*work* contains the hall calls assigned to the car, and its cab calls. At a stop, callers add the other hall calls at
the floor, because the car may serve these too (act.py).
"""

from elevator.core.model import EVERY_CAR, Behaviour, Button, Buttons, Call, Direction


def decide(floor: int, direction: Direction, work: Buttons, departing: bool = False) -> tuple[Behaviour, Direction]:
    """Choose the next behaviour and direction of a car at *floor*.

    A *departing* car is about to close its door. Then all other calls have priority over the cab call for this floor
    and the hall call in the car's direction here. Otherwise a passenger could hold the car forever by pressing a button
    again and again.
    """
    back = direction.opposite
    has_calls_here = is_at(work.cab, floor) or is_at(hall(direction, work), floor)
    if has_calls_here and not departing:
        return Behaviour.DOOR_OPEN, announced(floor, direction, work)
    if has_work_beyond(floor, direction, work):
        return Behaviour.MOVING, direction
    if is_at(hall(back, work), floor):
        return Behaviour.DOOR_OPEN, back
    if has_work_beyond(floor, back, work):
        return Behaviour.MOVING, back
    return (Behaviour.DOOR_OPEN if has_calls_here else Behaviour.IDLE), direction


def decide_idle(floor: int, direction: Direction, target: int | None) -> tuple[Behaviour, Direction]:
    """Choose the next behaviour and direction of an idle car at *floor*, so that it gets to *target*.

    *target* is a floor; None means that the car stays where it is.
    """
    if target is None or target == floor:
        return Behaviour.IDLE, direction
    return Behaviour.MOVING, Direction.UP if target > floor else Direction.DOWN


def announced(floor: int, direction: Direction, work: Buttons) -> Direction:
    """Choose the direction to announce at *floor*: *direction*, unless only the opposite one has calls."""
    if is_at(hall(direction, work), floor) or has_work_beyond(floor, direction, work):
        return direction
    back = direction.opposite
    if is_at(hall(back, work), floor) or has_work_beyond(floor, back, work):
        return back
    return direction


def cleared(floor: int, direction: Direction, work: Buttons, car: int) -> frozenset[Call]:
    """Return the calls that *car* serves at *floor* with its door open, if it announces *direction*."""
    served = {Call(Button.CAB, floor, car)} if is_at(work.cab, floor) else set()
    if is_at(hall(direction, work), floor):
        served.add(Call(direction.button, floor, EVERY_CAR))
    return frozenset(served)


def has_work_beyond(floor: int, direction: Direction, work: Buttons) -> bool:
    """Return whether there are calls beyond *floor* in *direction*."""
    every = work.up | work.down | work.cab
    return bool(every >> (floor + 1)) if direction is Direction.UP else bool(every & ((1 << floor) - 1))


def hall(direction: Direction, work: Buttons) -> int:
    """Return the mask of the hall calls in *direction*."""
    return work.up if direction is Direction.UP else work.down


def is_at(mask: int, floor: int) -> bool:
    """Return whether *mask* contains *floor*."""
    return bool(mask >> floor & 1)
