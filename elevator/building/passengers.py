"""Simulated passengers: when they arrive, and how they use panels and cars. Pure functions.

Rules:
- Passengers arrive as a Poisson process. The profile sets the shares of incoming, outgoing and interfloor trips. The
  random numbers of a trip depend only on the seed and the passenger's number, so equal settings give equal trips.
  Rate and profile may change at any time.
- A passenger presses the hall button on one car's panel and waits. They board a car if its door is open at their floor
  and the lamp for their direction on its panel is dark. A car clears that lamp to announce its direction. For
  LAMP_DELAY_MS after a press they do not board, because the lamp may not have lit yet.
- Boarding takes BOARDING_MS. If the door closes sooner, the passenger keeps waiting.
- In the car, the passenger presses the cab button of their destination. They leave when the door is open there.
- If the lamp of the pressed hall button stays dark for PATIENCE_MS while no door is open at the passenger's floor, the
  panel may be dead. So the passenger presses the hall button on the next car's panel. If the cab lamp stays dark for
  PATIENCE_MS, they press the cab button again.
"""

import random
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import NamedTuple

from elevator.building.elevators import SimulatedElevator
from elevator.core.call_set import mask
from elevator.core.evolve import evolve, frozen
from elevator.core.model import Button, Direction

LAMP_DELAY_MS = 500
BOARDING_MS = 400
PATIENCE_MS = 1500
RECENT = 120
"""How many of the newest waiting times are stored individually."""


class Stage(Enum):
    """How far a passenger's trip has progressed."""

    WAITING = "waiting"
    BOARDING = "boarding"
    RIDING = "riding"
    ARRIVED = "arrived"


class Profile(StrEnum):
    """Patterns of passenger flow: up-peak, down-peak, interfloor and lunch."""

    UP = "up"
    DOWN = "down"
    INTER = "inter"
    LUNCH = "lunch"


ENTRANCE_SHARES = {
    Profile.UP: (0.85, 0.05),
    Profile.DOWN: (0.05, 0.85),
    Profile.INTER: (0.0, 0.0),
    Profile.LUNCH: (0.4, 0.4),
}
"""For each profile, the share of trips from floor 0 to a random floor, and of trips from a random floor to floor 0. The
other trips connect two random floors, one of which may be floor 0."""


class Trip(NamedTuple):
    """The trip of passenger `number`, who arrives at `at_ms` in front of the panel of car `panel`."""

    number: int
    at_ms: int
    panel: int
    origin: int
    destination: int


class PanelPress(NamedTuple):
    """A press of one button on the panel of `car`."""

    car: int
    button: Button
    floor: int


@frozen
class PassengerFlow:
    """The arrival process of passengers, from `start_ms` to `until_ms` (exclusive; None: endless)."""

    seed: int
    cars: int
    floors: int
    per_minute: float
    start_ms: int = 0
    until_ms: int | None = None
    profile: Profile = Profile.LUNCH


@frozen
class Passenger:
    """A passenger from arrival at the origin to arrival at the destination."""

    trip: Trip
    panel: int
    """The car on whose panel the passenger last pressed the hall button."""
    pressed_at_ms: int
    checked_at_ms: int
    """When `step` last left the passenger waiting."""
    stage: Stage = Stage.WAITING
    car: int | None = None
    """The car that the passenger boards or rides in; None while waiting."""
    boarded_at_ms: int = 0
    """When boarding ends. Meaningless while the passenger waits."""
    dark_since_ms: int | None = None
    """Start of the current wait for the lamp of the passenger's call to light. Each press starts a new wait. None while
    the lamp is lit, and while the passenger waits or boards at an open door."""


@frozen
class Totals:
    """Counts and waiting times of all passengers who have boarded."""

    boarded: int = 0
    served: int = 0
    waited_ms: int = 0
    longest_ms: int = 0
    recent: tuple[tuple[int, int], ...] = ()
    """The last RECENT waits, oldest first, as pairs of end time and length in milliseconds."""


@frozen
class Crowd:
    """The passengers of one arrival process: those present, the next to arrive, and running totals."""

    flow: PassengerFlow
    next_trip: Trip | None
    present: tuple[Passenger, ...] = ()
    totals: Totals = Totals()
    next_number: int = 0
    """Number of the next passenger to draw, used while `next_trip` is None."""


@frozen
class Tally:
    """Passenger counts and waiting times. A wait lasts from arrival at the origin until boarding ends."""

    served: int
    under_way: int
    """How many passengers wait, board or ride."""
    mean_wait_ms: float
    longest_wait_ms: int


def crowd(flow: PassengerFlow) -> Crowd:
    """Return the crowd of *flow* before the first passenger arrives."""
    return Crowd(flow, draw(flow, 0, flow.start_ms))


def change_flow(crowd: Crowd, per_minute: float, profile: Profile, now_ms: int) -> Crowd:
    """Change the arrival rate (0: no arrivals) and the profile from *now_ms* on."""
    flow = evolve(crowd.flow, per_minute=per_minute, profile=profile)
    number = crowd.next_number if crowd.next_trip is None else crowd.next_trip.number
    return evolve(crowd, flow=flow, next_trip=draw(flow, number, now_ms), next_number=number)


def draw(flow: PassengerFlow, number: int, after_ms: int) -> Trip | None:
    """Draw the trip of passenger *number*, the next to arrive after *after_ms*. Return None if no more will arrive."""
    if not flow.per_minute:
        return None
    rng = random.Random(f"{flow.seed}/{number}")
    at_ms = after_ms + round(rng.expovariate(flow.per_minute / 60_000))
    if flow.until_ms is not None and at_ms >= flow.until_ms:
        return None
    upper = rng.randrange(1, flow.floors)
    kind = rng.random()
    coming, going = ENTRANCE_SHARES[flow.profile]
    if kind < coming:
        origin, destination = 0, upper
    elif kind < coming + going:
        origin, destination = upper, 0
    else:
        origin, destination = rng.sample(range(flow.floors), 2)
    return Trip(number, at_ms, rng.randrange(flow.cars), origin, destination)


def direction(trip: Trip) -> Direction:
    return Direction.UP if trip.destination > trip.origin else Direction.DOWN


def tally(crowd: Crowd, now_ms: int) -> Tally:
    """Return the tally at *now_ms*. The longest wait, unlike the mean, includes passengers who have not boarded yet."""
    unfinished = [now_ms - each.trip.at_ms for each in crowd.present if each.stage is not Stage.RIDING]
    totals = crowd.totals
    mean = totals.waited_ms / totals.boarded if totals.boarded else 0.0
    return Tally(totals.served, len(crowd.present), mean, max([totals.longest_ms, *unfinished]))


def wake_at_ms(crowd: Crowd) -> int | None:
    """Return when `step` must run next if no elevator changes; None if never."""
    times = [] if crowd.next_trip is None else [crowd.next_trip.at_ms]
    for each in crowd.present:
        if each.stage is Stage.BOARDING:
            times.append(each.boarded_at_ms)
        elif each.dark_since_ms is not None:
            times.append(each.dark_since_ms + PATIENCE_MS)
        if each.stage is Stage.WAITING and each.checked_at_ms < each.pressed_at_ms + LAMP_DELAY_MS:
            times.append(each.pressed_at_ms + LAMP_DELAY_MS)
    return min(times, default=None)


def step(crowd: Crowd, elevators: Sequence[SimulatedElevator], now_ms: int) -> tuple[Crowd, tuple[PanelPress, ...]]:
    """Let all passengers react at *now_ms* to the states of *elevators*. Return the new crowd and the presses."""
    present: list[Passenger] = []
    presses: list[PanelPress] = []
    totals = crowd.totals
    for passenger in crowd.present:
        moved, press = _STEPS[passenger.stage](passenger, elevators, now_ms)
        if press is not None:
            presses.append(press)
        if moved.stage is Stage.ARRIVED:
            totals = evolve(totals, served=totals.served + 1)
        else:
            present.append(moved)
        if moved.stage is Stage.RIDING and passenger.stage is Stage.BOARDING:
            totals = _add_wait(totals, now_ms, now_ms - moved.trip.at_ms)
    trip, number = crowd.next_trip, crowd.next_number
    while trip is not None and trip.at_ms <= now_ms:
        present.append(Passenger(trip, trip.panel, now_ms, now_ms, dark_since_ms=now_ms))
        presses.append(_hall_button(trip, trip.panel))
        number = trip.number + 1
        trip = draw(crowd.flow, number, trip.at_ms)
    crowd = evolve(crowd, next_trip=trip, present=tuple(present), next_number=number, totals=totals)
    return crowd, tuple(presses)


def _add_wait(totals: Totals, end_ms: int, waited_ms: int) -> Totals:
    return evolve(
        totals,
        boarded=totals.boarded + 1,
        waited_ms=totals.waited_ms + waited_ms,
        longest_ms=max(totals.longest_ms, waited_ms),
        recent=(*totals.recent, (end_ms, waited_ms))[-RECENT:],
    )


def _wait(
    passenger: Passenger, elevators: Sequence[SimulatedElevator], now_ms: int
) -> tuple[Passenger, PanelPress | None]:
    trip = passenger.trip
    press = _hall_button(trip, passenger.panel)
    open_cars = [car for car, elevator in enumerate(elevators) if _is_open_at(elevator, trip.origin)]
    if now_ms >= passenger.pressed_at_ms + LAMP_DELAY_MS:
        for car in open_cars:
            if not _is_lit(elevators[car], press.button, press.floor):
                boarding = evolve(passenger, stage=Stage.BOARDING, car=car, boarded_at_ms=now_ms + BOARDING_MS)
                return evolve(boarding, dark_since_ms=None), None
    checked = evolve(passenger, checked_at_ms=now_ms)
    dark = not open_cars and not _is_lit(elevators[press.car], press.button, press.floor)
    waiting, is_due = _track_lamp(checked, dark, now_ms)
    if not is_due:
        return waiting, None
    panel = (passenger.panel + 1) % len(elevators)
    return evolve(waiting, panel=panel, pressed_at_ms=now_ms), _hall_button(trip, panel)


def _board(
    passenger: Passenger, elevators: Sequence[SimulatedElevator], now_ms: int
) -> tuple[Passenger, PanelPress | None]:
    assert passenger.car is not None
    if not _is_open_at(elevators[passenger.car], passenger.trip.origin):
        return _wait(evolve(passenger, stage=Stage.WAITING, car=None), elevators, now_ms)
    if now_ms < passenger.boarded_at_ms:
        return passenger, None
    riding = evolve(passenger, stage=Stage.RIDING, dark_since_ms=now_ms)
    return riding, PanelPress(passenger.car, Button.CAB, passenger.trip.destination)


def _ride(
    passenger: Passenger, elevators: Sequence[SimulatedElevator], now_ms: int
) -> tuple[Passenger, PanelPress | None]:
    assert passenger.car is not None
    elevator, floor = elevators[passenger.car], passenger.trip.destination
    if _is_open_at(elevator, floor):
        return evolve(passenger, stage=Stage.ARRIVED), None
    riding, is_due = _track_lamp(passenger, not _is_lit(elevator, Button.CAB, floor), now_ms)
    return riding, PanelPress(passenger.car, Button.CAB, floor) if is_due else None


_STEPS = {Stage.WAITING: _wait, Stage.BOARDING: _board, Stage.RIDING: _ride}


def _track_lamp(passenger: Passenger, dark: bool, now_ms: int) -> tuple[Passenger, bool]:
    """Update `dark_since_ms` of *passenger*. Return the passenger, and whether they must press a button again."""
    if not dark:
        return evolve(passenger, dark_since_ms=None), False
    if passenger.dark_since_ms is None:
        return evolve(passenger, dark_since_ms=now_ms), False
    if now_ms < passenger.dark_since_ms + PATIENCE_MS:
        return passenger, False
    return evolve(passenger, dark_since_ms=now_ms), True


def _hall_button(trip: Trip, panel: int) -> PanelPress:
    return PanelPress(panel, direction(trip).button, trip.origin)


def _is_open_at(elevator: SimulatedElevator, floor: int) -> bool:
    return elevator.door and elevator.sensed == floor


def _is_lit(elevator: SimulatedElevator, button: Button, floor: int) -> bool:
    return bool(mask(elevator.lamps, button) >> floor & 1)
