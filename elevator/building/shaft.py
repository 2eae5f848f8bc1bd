"""One car in its shaft: pure physics, without a clock and without I/O.

Rules:
- Place and time are the same integer: a car that moves covers one unit of place in one millisecond, so every change of
  the floor sensor is at an exact millisecond and no rounding can build up.
- `place` counts from the lower edge of the lowest sensor. Floor f's sensor is active in the *passing_ms* places from
  f * (travel_ms + passing_ms); the floor itself is in the middle of them. Half-open zones make both directions alike:
  active for exactly passing_ms, dark for exactly travel_ms.
- A car starts from wherever it stands: what is left of a sensor's zone is what it takes to leave it.
- Out of the last zone at either end the car is out of bounds: it stands there, obeys no command, and only `put_back`
  brings it in again. Out of bounds is no separate field: it is the two places just outside the shaft.
- Without power the car stands and keeps its command; when power returns it goes on.
"""

from attrs import evolve, frozen

from elevator.core.model import Motor


@frozen
class Shaft:
    """A shaft, and its car as it was at *since_ms*; the functions below tell where it is later."""

    floors: int
    travel_ms: int = 2000
    """From the end of one floor's sensor to the start of the next one's; at least 1."""
    passing_ms: int = 500
    """Length of a sensor's zone; at least 1."""
    place: int = 0
    """Invariant: -1 <= place <= end(shaft); both of these are out of bounds."""
    motor: Motor = Motor.STOP
    """The command in force, also while there is no power."""
    powered: bool = True
    since_ms: int = 0


def spacing(shaft: Shaft) -> int:
    """Return the distance between two floors, in milliseconds of travel."""
    return shaft.travel_ms + shaft.passing_ms


def end(shaft: Shaft) -> int:
    """Return the first place above the highest floor's sensor."""
    return (shaft.floors - 1) * spacing(shaft) + shaft.passing_ms


def place(shaft: Shaft, now_ms: int) -> int:
    """Return where the car is at *now_ms*, from -1 to `end`; *now_ms* is not before `since_ms`."""
    if not shaft.motor or not shaft.powered or not 0 <= shaft.place < end(shaft):
        return shaft.place
    return min(max(-1, shaft.place + shaft.motor * (now_ms - shaft.since_ms)), end(shaft))


def sensor(shaft: Shaft, now_ms: int) -> int | None:
    """Return the floor whose sensor is active at *now_ms*, None between floors and out of bounds."""
    floor, beyond = divmod(place(shaft, now_ms), spacing(shaft))
    return floor if 0 <= floor < shaft.floors and beyond < shaft.passing_ms else None


def position(shaft: Shaft, now_ms: int) -> float:
    """Return the car's height in floors at *now_ms*: 1.0 is in the middle of floor 1's sensor zone."""
    return (place(shaft, now_ms) - shaft.passing_ms / 2) / spacing(shaft)


def is_out(shaft: Shaft, now_ms: int) -> bool:
    """Return whether the car has run past an end floor's sensor by *now_ms*."""
    return not 0 <= place(shaft, now_ms) < end(shaft)


def is_moving(shaft: Shaft, now_ms: int) -> bool:
    """Return whether the car really moves at *now_ms*."""
    return shaft.motor != Motor.STOP and shaft.powered and not is_out(shaft, now_ms)


def next_change_ms(shaft: Shaft) -> int | None:
    """Return the first millisecond after `since_ms` at which the sensor differs by itself, None if it never will.

    Going out of bounds is such a change too: the end floor's sensor goes dark at that very millisecond.
    """
    if not shaft.motor or not shaft.powered or not 0 <= shaft.place < end(shaft):
        return None
    beyond = shaft.place % spacing(shaft)
    if shaft.motor == Motor.UP:
        way = (shaft.passing_ms if beyond < shaft.passing_ms else spacing(shaft)) - beyond
    else:
        way = 1 + (beyond if beyond < shaft.passing_ms else beyond - shaft.passing_ms)
    return shaft.since_ms + way


def at(shaft: Shaft, now_ms: int) -> Shaft:
    """Return the same shaft as seen at *now_ms*: splitting time in pieces changes nothing."""
    return evolve(shaft, place=place(shaft, now_ms), since_ms=now_ms)


def command(shaft: Shaft, motor: Motor, now_ms: int) -> Shaft:
    """Give the car a motor command; out of bounds, and for the command already in force, nothing changes."""
    if motor == shaft.motor or is_out(shaft, now_ms):
        return shaft
    return evolve(at(shaft, now_ms), motor=motor)


def power(shaft: Shaft, powered: bool, now_ms: int) -> Shaft:
    """Switch the motor's power; the command stays in force."""
    return shaft if powered == shaft.powered else evolve(at(shaft, now_ms), powered=powered)


def put(shaft: Shaft, floor: float, now_ms: int) -> Shaft:
    """Set the car down at a height of *floor* floors, 0 to floors - 1; its command stays in force."""
    moved = round(floor * spacing(shaft) + shaft.passing_ms / 2)
    return evolve(shaft, place=min(max(0, moved), end(shaft) - 1), since_ms=now_ms)


def put_back(shaft: Shaft, now_ms: int) -> Shaft:
    """Bring a car that is out of bounds to the nearest floor, its motor stopped; any other stays as it is."""
    if not is_out(shaft, now_ms):
        return shaft
    floor = 0 if place(shaft, now_ms) < 0 else shaft.floors - 1
    return put(evolve(shaft, motor=Motor.STOP), floor, now_ms)
