"""The physics of one car in its shaft. Pure functions; the caller passes the time.

Rules:
- Position is measured in milliseconds of travel: a moving car covers one unit per millisecond. So each change of the
  floor sensor has an exact time, and rounding errors cannot accumulate.
- `place` counts from the lower edge of the lowest sensor zone. The zone of floor f begins at
  f * (travel_ms + passing_ms) and is passing_ms long. The car is level with the floor in the middle of the zone. Zones
  are half-open, so the sensor is on for exactly passing_ms and off for exactly travel_ms in both directions.
- After a car has stopped or reversed on its way, the sensor changes after the time for the remaining distance. The
  course's simulator always waits the full travel_ms or passing_ms.
- A car that leaves the shaft through the lowest or the highest zone is out of bounds: it stops and ignores motor
  commands until it is moved back. The two out-of-bounds places are -1 and `end`.
- Without power the car stops. The motor keeps its command or accepts a new one, and executes it when power returns.
"""

from elevator.core.evolve import evolve, frozen
from elevator.core.model import Motor


@frozen
class Shaft:
    """A shaft and the state of its car at `since_ms`. Functions compute the state at later times."""

    floors: int
    travel_ms: int = 2000
    """Travel time between adjacent sensor zones; at least 1."""
    passing_ms: int = 500
    """Travel time through a sensor zone; at least 1."""
    place: int = 0
    """Position at `since_ms` in milliseconds of travel, from -1 to `end`. Both limits are out of bounds."""
    motor: Motor = Motor.STOP
    """The current command. It does not move the car while the power is off or the car is out of bounds."""
    powered: bool = True
    since_ms: int = 0


def spacing(shaft: Shaft) -> int:
    """Return the distance between adjacent floors in milliseconds of travel."""
    return shaft.travel_ms + shaft.passing_ms


def end(shaft: Shaft) -> int:
    """Return the first place above the highest sensor zone."""
    return (shaft.floors - 1) * spacing(shaft) + shaft.passing_ms


def place(shaft: Shaft, now_ms: int) -> int:
    """Return the car's place at *now_ms*, which must not precede `since_ms`."""
    if not shaft.motor or not shaft.powered or not 0 <= shaft.place < end(shaft):
        return shaft.place
    return min(max(-1, shaft.place + shaft.motor * (now_ms - shaft.since_ms)), end(shaft))


def sensor(shaft: Shaft, now_ms: int) -> int | None:
    """Return the floor whose sensor is active at *now_ms*; None between floors and out of bounds."""
    floor, offset = divmod(place(shaft, now_ms), spacing(shaft))
    return floor if 0 <= floor < shaft.floors and offset < shaft.passing_ms else None


def position(shaft: Shaft, now_ms: int) -> float:
    """Return the car's height in floors at *now_ms*; 1.0 is level with floor 1."""
    return (place(shaft, now_ms) - shaft.passing_ms / 2) / spacing(shaft)


def is_out(shaft: Shaft, now_ms: int) -> bool:
    return not 0 <= place(shaft, now_ms) < end(shaft)


def is_moving(shaft: Shaft, now_ms: int) -> bool:
    """Return whether the car moves at *now_ms*: it is commanded up or down, has power and is not out of bounds."""
    return shaft.motor != Motor.STOP and shaft.powered and not is_out(shaft, now_ms)


def next_change_ms(shaft: Shaft) -> int | None:
    """Return when the sensor next changes if the motor's command and power stay the same; None if it will not change.

    A car goes out of bounds at the moment the sensor of the end floor turns off.
    """
    if not shaft.motor or not shaft.powered or not 0 <= shaft.place < end(shaft):
        return None
    offset = shaft.place % spacing(shaft)
    if shaft.motor == Motor.UP:
        distance = (shaft.passing_ms if offset < shaft.passing_ms else spacing(shaft)) - offset
    else:
        distance = 1 + (offset if offset < shaft.passing_ms else offset - shaft.passing_ms)
    return shaft.since_ms + distance


def at(shaft: Shaft, now_ms: int) -> Shaft:
    """Return *shaft* advanced to *now_ms*."""
    return evolve(shaft, place=place(shaft, now_ms), since_ms=now_ms)


def command(shaft: Shaft, motor: Motor, now_ms: int) -> Shaft:
    """Give the car a motor command. A car out of bounds ignores it."""
    if motor == shaft.motor or is_out(shaft, now_ms):
        return shaft
    return evolve(at(shaft, now_ms), motor=motor)


def power(shaft: Shaft, powered: bool, now_ms: int) -> Shaft:
    """Switch the motor's power on or off. The motor keeps its command."""
    return shaft if powered == shaft.powered else evolve(at(shaft, now_ms), powered=powered)


def put(shaft: Shaft, floor: float, now_ms: int) -> Shaft:
    """Place the car at height *floor*, from 0 to floors - 1. The motor keeps its command."""
    moved = round(floor * spacing(shaft) + shaft.passing_ms / 2)
    return evolve(shaft, place=min(max(0, moved), end(shaft) - 1), since_ms=now_ms)


def put_back(shaft: Shaft, now_ms: int) -> Shaft:
    """Move a car that is out of bounds to the nearest floor and stop its motor."""
    if not is_out(shaft, now_ms):
        return shaft
    floor = 0 if place(shaft, now_ms) < 0 else shaft.floors - 1
    return put(evolve(shaft, motor=Motor.STOP), floor, now_ms)
