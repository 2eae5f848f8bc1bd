"""Passengers: who comes when, and what people do in front of a panel and in a car. Pure.

Rules:
- People come as a Poisson process drawn from a seed: from the entrance up, from above down to it, and between any two
  floors, in shares that the profile names. Each passenger is drawn from the seed and his number alone, so any stretch
  of the traffic can be drawn again. Rate and profile may change at any time.
- A passenger presses his hall button on some panel and waits. He boards a car that stands at his floor, door open,
  and the lamp of his direction dark on that car's panel: a dark lamp announces the direction. For the first
  LOOK_MS after a press he trusts no dark lamp, because it may not have had the time to light.
- Boarding takes a moment. If the door shuts in his face he waits on.
- In the car he presses his floor's cab button, and leaves when the door is open there.
- A button whose lamp has been dark for PATIENCE_MS, with no open door in sight, is pressed again, as people do; in the
  hall on the next panel, because this one might be dead.
"""

import random
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import NamedTuple, assert_never

from attrs import evolve, frozen

from elevator.building.elevator import Machine
from elevator.core.call_set import mask
from elevator.core.model import Button, Direction

LOOK_MS = 500
BOARDING_MS = 400
PATIENCE_MS = 1500
ARRIVED_KEPT = 200
"""Passengers that are remembered one by one; of those before them only the figures are."""


class Stage(Enum):
    """How far a passenger has come."""

    WAITING = "waiting"
    BOARDING = "boarding"
    RIDING = "riding"
    ARRIVED = "arrived"


class Profile(StrEnum):
    """The time of day."""

    UP = "up"
    """People come to work."""
    DOWN = "down"
    """They go home."""
    INTER = "inter"
    """They visit each other."""
    LUNCH = "lunch"
    """They go out and come back."""


ENTRANCE_SHARES = {
    Profile.UP: (0.85, 0.05),
    Profile.DOWN: (0.05, 0.85),
    Profile.INTER: (0.0, 0.0),
    Profile.LUNCH: (0.4, 0.4),
}
"""Of all passengers, those from the entrance and those to it; the others go between any two floors."""


class Trip(NamedTuple):
    """Who comes next: passenger *number* at *at_ms*, in front of *panel*, to go from *origin* to *destination*."""

    number: int
    at_ms: int
    panel: int
    origin: int
    destination: int


class Pressed(NamedTuple):
    """A button that a passenger presses on the panel of *car*."""

    car: int
    button: Button
    floor: int


@frozen
class PassengerFlow:
    """How people come, from *start_ms* on until before *until_ms*, None for ever."""

    seed: int
    cars: int
    floors: int
    per_minute: float
    """0: nobody comes."""
    start_ms: int = 0
    until_ms: int | None = None
    profile: Profile = Profile.LUNCH


@frozen
class Passenger:
    """One person under way, or arrived."""

    trip: Trip
    panel: int
    """Where the hall button was last pressed."""
    pressed_at_ms: int
    looked_at_ms: int
    """When the doors were last looked at."""
    stage: Stage = Stage.WAITING
    car: int | None = None
    """The car that is being boarded or ridden, or was ridden; None exactly while waiting."""
    in_at_ms: int = 0
    """When boarding is over, or was."""
    dark_since_ms: int | None = None
    """Since when the lamp is dark and no door open; None if it is lit, or a door is open."""
    out_at_ms: int = 0


@frozen
class Past:
    """The figures of passengers who have arrived and are no longer remembered one by one."""

    served: int = 0
    waited_ms: int = 0
    longest_ms: int = 0


@frozen
class Crowd:
    """All passengers of one traffic."""

    traffic: PassengerFlow
    coming: Trip | None
    here: tuple[Passenger, ...] = ()
    arrived: tuple[Passenger, ...] = ()
    """The latest of those who have arrived, at most ARRIVED_KEPT."""
    past: Past = Past()
    next: int = 0
    """The number of whoever comes next when nobody is coming."""


@frozen
class Tally:
    """How the passengers fared; waits are from coming to being in a car, in milliseconds."""

    served: int
    under_way: int
    mean_wait_ms: float
    longest_wait_ms: int


def crowd(traffic: PassengerFlow) -> Crowd:
    """Return the crowd before anyone has come."""
    return Crowd(traffic, draw(traffic, 0, traffic.start_ms))


def redirect(crowd: Crowd, per_minute: float, profile: Profile, now_ms: int) -> Crowd:
    """Let people come at another rate, 0 for not at all, and with another *profile* from *now_ms* on."""
    traffic = evolve(crowd.traffic, per_minute=per_minute, profile=profile)
    number = crowd.next if crowd.coming is None else crowd.coming.number
    return evolve(crowd, traffic=traffic, coming=draw(traffic, number, now_ms), next=number)


def draw(traffic: PassengerFlow, number: int, after_ms: int) -> Trip | None:
    """Return the trip of passenger *number*, who comes after one that came at *after_ms*; None if it is too late."""
    if not traffic.per_minute:
        return None
    rng = random.Random(f"{traffic.seed}/{number}")
    at_ms = after_ms + round(rng.expovariate(traffic.per_minute / 60_000))
    if traffic.until_ms is not None and at_ms >= traffic.until_ms:
        return None
    upper = rng.randrange(1, traffic.floors)
    kind = rng.random()
    coming, going = ENTRANCE_SHARES[traffic.profile]
    if kind < coming:
        origin, destination = 0, upper
    elif kind < coming + going:
        origin, destination = upper, 0
    else:
        origin, destination = rng.sample(range(traffic.floors), 2)
    return Trip(number, at_ms, rng.randrange(traffic.cars), origin, destination)


def direction(trip: Trip) -> Direction:
    """Return which way the trip goes."""
    return Direction.UP if trip.destination > trip.origin else Direction.DOWN


def tally(crowd: Crowd, now_ms: int) -> Tally:
    """Count how the passengers fared; whoever still waits has waited until *now_ms*."""
    in_a_car = [each for each in (*crowd.arrived, *crowd.here) if each.stage in (Stage.RIDING, Stage.ARRIVED)]
    boarded = [waited_ms(each) for each in in_a_car]
    waiting = [now_ms - each.trip.at_ms for each in crowd.here if each.stage not in (Stage.RIDING, Stage.ARRIVED)]
    past = crowd.past
    count = past.served + len(boarded)
    mean = (past.waited_ms + sum(boarded)) / count if count else 0.0
    longest = max([past.longest_ms, *boarded, *waiting])
    return Tally(past.served + len(crowd.arrived), len(crowd.here), mean, longest)


def waited_ms(passenger: Passenger) -> int:
    """Return how long a passenger who rides, or has arrived, waited: from coming to being in a car."""
    return passenger.in_at_ms - passenger.trip.at_ms


def wake_at_ms(crowd: Crowd) -> int | None:
    """Return when `step` must run again if no machine changes; it may be due already, None if never."""
    times = [] if crowd.coming is None else [crowd.coming.at_ms]
    for each in crowd.here:
        if each.stage is Stage.BOARDING:
            times.append(each.in_at_ms)
        elif each.dark_since_ms is not None:
            times.append(each.dark_since_ms + PATIENCE_MS)
        if each.stage is Stage.WAITING and each.looked_at_ms < each.pressed_at_ms + LOOK_MS:
            times.append(each.pressed_at_ms + LOOK_MS)
    return min(times, default=None)


def step(crowd: Crowd, machines: Sequence[Machine], now_ms: int) -> tuple[Crowd, tuple[Pressed, ...]]:
    """Let everybody see the *machines* as they are at *now_ms* and act; return the buttons that are pressed."""
    here: list[Passenger] = []
    arrived: list[Passenger] = []
    presses: list[Pressed] = []
    for passenger in crowd.here:
        moved, press = act(passenger, machines, now_ms)
        (arrived if moved.stage is Stage.ARRIVED else here).append(moved)
        if press is not None:
            presses.append(press)
    coming, number = crowd.coming, crowd.next
    while coming is not None and coming.at_ms <= now_ms:
        here.append(Passenger(coming, coming.panel, now_ms, now_ms, dark_since_ms=now_ms))
        presses.append(_hall_button(coming, coming.panel))
        number = coming.number + 1
        coming = draw(crowd.traffic, number, coming.at_ms)
    crowd = evolve(crowd, coming=coming, here=tuple(here), next=number)
    return (_remember(crowd, arrived) if arrived else crowd), tuple(presses)


def _remember(crowd: Crowd, arrived: list[Passenger]) -> Crowd:
    """Add those who have *arrived*; of the oldest keep the figures only."""
    known = (*crowd.arrived, *arrived)
    kept, gone = known[-ARRIVED_KEPT:], known[:-ARRIVED_KEPT]
    waits = [waited_ms(each) for each in gone]
    past = crowd.past
    past = Past(past.served + len(gone), past.waited_ms + sum(waits), max([past.longest_ms, *waits]))
    return evolve(crowd, arrived=kept, past=past)


def act(passenger: Passenger, machines: Sequence[Machine], now_ms: int) -> tuple[Passenger, Pressed | None]:
    """Return what becomes of *passenger* and the button he presses, if any."""
    match passenger.stage:
        case Stage.WAITING:
            return _wait(passenger, machines, now_ms)
        case Stage.BOARDING:
            return _board(passenger, machines, now_ms)
        case Stage.RIDING:
            return _ride(passenger, machines, now_ms)
        case Stage.ARRIVED:
            return passenger, None
        case _:
            assert_never(passenger.stage)


def _wait(passenger: Passenger, machines: Sequence[Machine], now_ms: int) -> tuple[Passenger, Pressed | None]:
    trip = passenger.trip
    press = _hall_button(trip, passenger.panel)
    open_cars = [car for car, machine in enumerate(machines) if _is_open_at(machine, trip.origin)]
    if now_ms >= passenger.pressed_at_ms + LOOK_MS:
        for car in open_cars:
            if not _is_lit(machines[car], press.button, press.floor):
                boarding = evolve(passenger, stage=Stage.BOARDING, car=car, in_at_ms=now_ms + BOARDING_MS)
                return evolve(boarding, dark_since_ms=None), None
    looked = evolve(passenger, looked_at_ms=now_ms)
    dark = not open_cars and not _is_lit(machines[press.car], press.button, press.floor)
    waiting, is_due = _watch_lamp(looked, dark, now_ms)
    if not is_due:
        return waiting, None
    panel = (passenger.panel + 1) % len(machines)
    return evolve(waiting, panel=panel, pressed_at_ms=now_ms), _hall_button(trip, panel)


def _board(passenger: Passenger, machines: Sequence[Machine], now_ms: int) -> tuple[Passenger, Pressed | None]:
    assert passenger.car is not None
    if not _is_open_at(machines[passenger.car], passenger.trip.origin):
        return _wait(evolve(passenger, stage=Stage.WAITING, car=None), machines, now_ms)
    if now_ms < passenger.in_at_ms:
        return passenger, None
    riding = evolve(passenger, stage=Stage.RIDING, in_at_ms=now_ms, dark_since_ms=now_ms)
    return riding, Pressed(passenger.car, Button.CAB, passenger.trip.destination)


def _ride(passenger: Passenger, machines: Sequence[Machine], now_ms: int) -> tuple[Passenger, Pressed | None]:
    assert passenger.car is not None
    machine, floor = machines[passenger.car], passenger.trip.destination
    if _is_open_at(machine, floor):
        return evolve(passenger, stage=Stage.ARRIVED, out_at_ms=now_ms), None
    riding, is_due = _watch_lamp(passenger, not _is_lit(machine, Button.CAB, floor), now_ms)
    return riding, Pressed(passenger.car, Button.CAB, floor) if is_due else None


def _watch_lamp(passenger: Passenger, dark: bool, now_ms: int) -> tuple[Passenger, bool]:
    """Note how long the lamp has been dark; return whether it is time to press again."""
    if not dark:
        return evolve(passenger, dark_since_ms=None), False
    if passenger.dark_since_ms is None:
        return evolve(passenger, dark_since_ms=now_ms), False
    if now_ms < passenger.dark_since_ms + PATIENCE_MS:
        return passenger, False
    return evolve(passenger, dark_since_ms=now_ms), True


def _hall_button(trip: Trip, panel: int) -> Pressed:
    return Pressed(panel, direction(trip).button, trip.origin)


def _is_open_at(machine: Machine, floor: int) -> bool:
    return machine.door and machine.sensed == floor


def _is_lit(machine: Machine, button: Button, floor: int) -> bool:
    return bool(mask(machine.lamps, button) >> floor & 1)
