"""A model of native/assign_rules.h in Python, and recorded answers (vectors) of the official program.

The official program is the course's hall_request_assigner. The model reads the same format: hall requests as rows of
[up, down], and a state for each car id. It expects input that the official program accepts. The model is simple but
slow, because it sorts all cars before each move and looks at every floor. `flatten` converts an input to the arguments
of `_assign.reference`, here called *the C function*.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypedDict

from attrs import define, frozen

Behaviour: TypeAlias = Literal["idle", "moving", "doorOpen"]
Button: TypeAlias = Literal["up", "down"]
BUTTONS: tuple[Button, Button] = ("up", "down")
DIRECTIONS = {"down": -1, "stop": 0, "up": 1}
BEHAVIOURS = {"idle": 0, "moving": 1, "doorOpen": 2}
DATA = Path(__file__).parents[1] / "unit" / "data"


class State(TypedDict):
    """One car in the official format."""

    behaviour: str
    floor: int
    direction: str
    cabRequests: list[bool]


class Input(TypedDict):
    """The input of the official program."""

    hallRequests: list[list[bool]]
    states: dict[str, State]


class Args(TypedDict, total=False):
    """The command-line options of the official program that affect its answer."""

    doorOpenDuration: int
    travelDuration: int
    clearRequestType: str
    includeCab: bool


class Vector(TypedDict):
    """An input, the options and the official answer."""

    input: Input
    args: Args
    output: dict[str, list[list[bool]]]


class Integers(NamedTuple):
    """The arguments of the C function."""

    floors: int
    up: int
    down: int
    cars: tuple[tuple[int, int, int, int], ...]
    door_ms: int
    travel_ms: int
    clear_all: bool
    has_empty_id: bool


Shares: TypeAlias = dict[str, list[list[bool]]]
"""The hall requests that each car answers: by car id, a row [up, down] for each floor."""


class Call(NamedTuple):
    """A hall request."""

    floor: int
    button: Button


@define
class Car:
    """A simulated car. It makes its next move at the time `clock_us`."""

    id: str
    floor: int
    direction: int
    behaviour: Behaviour
    cab: set[int]
    clock_us: int


@define
class Building:
    """The state of the simulation."""

    floors: int
    door_us: int
    travel_us: int
    clear_all: bool
    cars: list[Car]
    active: frozenset[Call]
    """All hall requests of the input."""
    owners: dict[Call, str]
    """Maps each active request to the id of its car, or to "" while it is unassigned. A car may also have the id ""."""

    def unassigned(self) -> list[Call]:
        """Return the requests without an owner, in ascending order of floors, up before down."""
        calls = (Call(floor, button) for floor in range(self.floors) for button in ("up", "down"))
        return [call for call in calls if self.owners.get(call) == ""]


@frozen
class View:
    """The input of a car's decisions: its floor and direction, its cab requests, and the unassigned hall requests."""

    floors: int
    floor: int
    direction: int
    up: frozenset[int]
    down: frozenset[int]
    cab: frozenset[int]

    def above(self) -> bool:
        return any(floor > self.floor for floor in self.up | self.down | self.cab)

    def below(self) -> bool:
        return any(floor < self.floor for floor in self.up | self.down | self.cab)

    def here(self) -> bool:
        return self.floor in self.up | self.down | self.cab


class EndlessError(Exception):
    """The simulation exceeded the limit on moves. In practice, only a car with an empty id causes this."""


def assign(given: Input, args: Args, moves_max: int = 1_000_000) -> Shares:
    """Assign the hall requests. Raise EndlessError if that takes more than *moves_max* moves."""
    building = start(given, args)
    for car in building.cars:
        move_initially(building, car)
    for _ in range(moves_max):
        building.cars.sort(key=lambda car: car.clock_us)
        done = not building.unassigned()
        if is_immediately_assignable(building):
            assign_immediately(building)
            done = True
        if done:
            return shares(building)
        move(building, building.cars[0])
    raise EndlessError


def start(given: Input, args: Args) -> Building:
    """Create the simulation. The cars start 1 us apart, in byte order of their ids."""
    hall = given["hallRequests"]
    ids = sorted(given["states"], key=lambda id: id.encode())
    active = frozenset(
        Call(floor, button) for floor, row in enumerate(hall) for button, lit in zip(BUTTONS, row, strict=True) if lit
    )
    return Building(
        floors=len(hall),
        door_us=args.get("doorOpenDuration", 3000) * 1000,
        travel_us=args.get("travelDuration", 2500) * 1000,
        clear_all=args.get("clearRequestType", "inDirn") == "all",
        cars=[new_car(id, given["states"][id], clock_us) for clock_us, id in enumerate(ids)],
        active=active,
        owners=dict.fromkeys(active, ""),
    )


def new_car(id: str, state: State, clock_us: int) -> Car:
    behaviour: Behaviour
    match state["behaviour"]:
        case "idle":
            behaviour = "idle"
        case "moving":
            behaviour = "moving"
        case "doorOpen":
            behaviour = "doorOpen"
        case other:
            raise ValueError(other)
    cab = {floor for floor, lit in enumerate(state["cabRequests"]) if lit}
    return Car(id, state["floor"], DIRECTIONS[state["direction"]], behaviour, cab, clock_us)


def move_initially(building: Building, car: Car) -> None:
    """Advance *car* to its first decision. A car that is not moving gets the requests at its floor."""
    if car.behaviour == "moving":
        car.floor += car.direction
        car.clock_us += building.travel_us // 2
        return
    if car.behaviour == "doorOpen":
        car.clock_us += building.door_us // 2
    for call in (Call(car.floor, "up"), Call(car.floor, "down")):
        if call in building.active:  # Even if the request has an owner.
            building.owners[call] = car.id
            car.clock_us += building.door_us


def is_immediately_assignable(building: Building) -> bool:
    """Return whether the remaining requests can be assigned without further simulation."""
    if any(car.cab for car in building.cars):
        return False
    if any({Call(floor, "up"), Call(floor, "down")} <= building.active for floor in range(building.floors)):
        return False
    return {call.floor for call in building.unassigned()} <= {car.floor for car in building.cars}


def assign_immediately(building: Building) -> None:
    """Assign each remaining request to the car with the earliest clock among those at the same floor."""
    for call in building.unassigned():
        for car in building.cars:
            if building.owners[call] == "" and car.floor == call.floor:
                building.owners[call] = car.id
                car.clock_us += building.door_us


def view_of(building: Building, car: Car) -> View:
    left = building.unassigned()
    return View(
        floors=building.floors,
        floor=car.floor,
        direction=car.direction,
        up=frozenset(call.floor for call in left if call.button == "up"),
        down=frozenset(call.floor for call in left if call.button == "down"),
        cab=frozenset(car.cab),
    )


def move(building: Building, car: Car) -> None:
    """Let *car* make one move: stop, pass a floor, depart, serve its floor or become idle."""
    view = view_of(building, car)
    if car.behaviour == "moving":
        if should_stop(view):
            car.behaviour = "doorOpen"
            car.clock_us += building.door_us
            clear(building, car, view)
        else:
            car.floor += car.direction
            car.clock_us += building.travel_us
        return
    car.direction = choose_direction(view)
    if car.direction != 0:
        car.behaviour = "moving"
        car.floor += car.direction
        car.clock_us += building.travel_us
    elif view.here():
        clear(building, car, view)  # The stop clears requests in the previous direction, which *view* still contains.
        car.clock_us += building.door_us
        car.behaviour = "doorOpen"
    else:
        car.behaviour = "idle"


def should_stop(view: View) -> bool:
    at_end = view.floor in (0, view.floors - 1)
    match view.direction:
        case 1:
            return view.floor in view.up or view.floor in view.cab or not view.above() or at_end
        case -1:
            return view.floor in view.down or view.floor in view.cab or not view.below() or at_end
        case _:
            return True


def choose_direction(view: View) -> int:
    if view.direction == 1:
        return 1 if view.above() else 0 if view.here() else -1 if view.below() else 0
    return -1 if view.below() else 0 if view.here() else 1 if view.above() else 0


def clear(building: Building, car: Car, view: View) -> None:
    """Remove the cab request of *car* at its floor. Assign to the car the hall requests that its stop clears."""
    floor = view.floor
    car.cab.discard(floor)
    for call in cleared(view, building.clear_all):
        if call.floor in (view.up if call.button == "up" else view.down):
            building.owners[call] = car.id


def cleared(view: View, clear_all: bool) -> list[Call]:
    """Return the hall requests that a stop at the floor of *view* clears if they exist."""
    up, down = Call(view.floor, "up"), Call(view.floor, "down")
    if clear_all or view.direction == 0:
        return [up, down]
    if view.direction == 1:
        return [up] if view.floor in view.up else [] if view.above() else [down]
    return [down] if view.floor in view.down else [] if view.below() else [up]


def shares(building: Building) -> Shares:
    def row(id: str, floor: int) -> list[bool]:
        return [building.owners.get(Call(floor, "up")) == id, building.owners.get(Call(floor, "down")) == id]

    return {car.id: [row(car.id, floor) for floor in range(building.floors)] for car in building.cars}


def mask(lit: Iterable[bool]) -> int:
    """Convert a boolean for each floor to a bit mask."""
    return sum(1 << floor for floor, on in enumerate(lit) if on)


def flatten(given: Input, args: Args) -> Integers:
    """Convert an input and its options to integers. An unknown behaviour or direction becomes an invalid number."""
    hall, states = given["hallRequests"], given["states"]
    ids = sorted(states, key=lambda id: id.encode())
    return Integers(
        floors=len(hall),
        up=mask(row[0] for row in hall),
        down=mask(row[1] for row in hall),
        cars=tuple(
            (
                BEHAVIOURS.get(states[id]["behaviour"], len(BEHAVIOURS)),
                states[id]["floor"],
                DIRECTIONS.get(states[id]["direction"], 2),
                mask(states[id]["cabRequests"]),
            )
            for id in ids
        ),
        door_ms=args.get("doorOpenDuration", 3000),
        travel_ms=args.get("travelDuration", 2500),
        clear_all=args.get("clearRequestType", "inDirn") == "all",
        has_empty_id="" in states,
    )


def unflatten(given: Input, answer: Sequence[tuple[int, int]]) -> Shares:
    """Convert the C function's answer for *given* to the official format."""
    ids = sorted(given["states"], key=lambda id: id.encode())
    floors = range(len(given["hallRequests"]))
    return {
        id: [[bool(up >> floor & 1), bool(down >> floor & 1)] for floor in floors]
        for id, (up, down) in zip(ids, answer, strict=True)
    }


def with_cab(given: Input, shares: Mapping[str, list[list[bool]]]) -> Shares:
    """Add the cab requests as a third column, as the option includeCab does."""
    return {
        id: [[*row, cab] for row, cab in zip(rows, given["states"][id]["cabRequests"], strict=True)]
        for id, rows in shares.items()
    }


def vectors() -> list[Vector]:
    """Read the recorded answers from the file that the environment variable ELEVATOR_VECTORS names.

    By default, read tests/unit/data/assigner_official.jsonl.
    """
    path = Path(os.environ.get("ELEVATOR_VECTORS", DATA / "assigner_official.jsonl"))
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
