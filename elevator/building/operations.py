"""Executes the requests defined in control.py."""

import json
from typing import Any, assert_never

from attrs import asdict, evolve

from elevator.building import elevators, view
from elevator.building import shaft as physics
from elevator.building.building import Building
from elevator.building.control import (
    REQUESTS,
    Events,
    PressButton,
    Put,
    PutBack,
    Refused,
    Request,
    State,
    Switch,
    parse,
)
from elevator.core.call_set import mask
from elevator.core.model import Button, Motor, bits


def answer(building: Building, line: bytes) -> bytes:
    """Execute the request in *line*; return the reply without its newline."""
    try:
        return json.dumps(execute(building, *parse(line, REQUESTS))).encode()
    except Refused as refusal:
        return json.dumps({"error": str(refusal)}).encode()


def execute(building: Building, name: str, request: Request) -> dict[str, Any]:
    """Execute *request*, called *name*, and return the reply; raise Refused if the request cannot be executed."""
    now_us = building.settle()
    reply = _execute(building, name, request, now_us)
    reply |= {"ok": True, "ms": now_us / 1000}
    reply.setdefault("next", building.history.next_event)
    return reply


def _execute(building: Building, name: str, request: Request, now_us: int) -> dict[str, Any]:
    if isinstance(request, Events):
        return building.history.since(request.since)
    cars = range(len(building.servers))
    if request.car is not None and request.car not in cars:
        raise Refused(f"there is no car {request.car}")
    match request:
        case State(car):
            return {"cars": [state(building, each) for each in (cars if car is None else [car])]}
        case PressButton():
            _press_or_hold(building, request, now_us)
        case Switch(car, on):
            _switch(building, name, car, on, now_us)
        case Put(car, floor):
            elevator = building.servers[car].elevator
            if not 0 <= floor <= elevator.shaft.floors - 1:
                raise Refused(f"floor must be from 0 to {elevator.shaft.floors - 1}, not {floor}")
            building.change(car, elevators.put(elevator, floor, now_us // 1000), now_us)
        case PutBack(car):
            building.change(car, elevators.put_back(building.servers[car].elevator, now_us // 1000), now_us)
        case _:
            assert_never(request)
    return {}


def _press_or_hold(building: Building, request: PressButton, now_us: int) -> None:
    elevator = building.servers[request.car].elevator
    button = Button[request.button.upper()]
    if request.floor not in bits(mask(elevators.buttons(elevator.shaft.floors), button)):
        raise Refused(f"there is no {request.button} button at floor {request.floor}")
    if request.ms is not None and request.held is not None:
        raise Refused("ms and held cannot be combined")
    if request.ms is not None and not 1 <= request.ms <= 3_600_000:
        raise Refused(f"ms must be from 1 to 3600000, not {request.ms}")
    match request.held:
        case True:
            elevator = elevators.press(elevator, button, request.floor, None)
        case False:
            elevator = elevators.release(elevator, button, request.floor)
        case None:
            until_ms = now_us // 1000 + (request.ms or building.press_ms)
            elevator = elevators.press(elevator, button, request.floor, until_ms)
    building.change(request.car, elevator, now_us)


def _switch(building: Building, name: str, car: int, on: bool, now_us: int) -> None:
    server = building.servers[car]
    match name:
        case "stop":
            building.change(car, elevators.hold_stop(server.elevator, on), now_us)
        case "obstruct":
            building.change(car, evolve(server.elevator, obstructed=on), now_us)
        case "power":
            building.change(car, elevators.power(server.elevator, on, now_us // 1000), now_us)
        case "server":
            building.switch_server(car, on, now_us)
        case "card":
            _switch_card(building, car, on)
        case _:
            assert name == "deaf"
            building.set_paused(car, on)


def _switch_card(building: Building, car: int, on: bool) -> None:
    if car not in building.cards:
        raise Refused(f"car {car} has no I/O card")
    try:
        (building.cards[car].plug if on else building.cards[car].unplug)()
    except OSError as error:
        raise Refused(f"cannot {'plug in' if on else 'unplug'} the I/O card of car {car}: {error.strerror}") from None


def state(building: Building, car: int) -> dict[str, object]:
    """Return the state of *car* as JSON values. Call `Building.settle` first."""
    server = building.servers[car]
    elevator, now_ms = server.elevator, building.clock_us() // 1000
    return {
        **view.panel(elevator),
        "car": car,
        "port": server.address[1],
        "floors": elevator.shaft.floors,
        "position": round(physics.position(elevator.shaft, now_ms), 4),
        "motor": Motor(elevator.shaft.motor).name.lower(),
        "out_of_bounds": elevator.out,
        "server": server.listener is not None,
        "deaf": server.is_paused,
        "client": server.client is not None,
        "card": building.is_plugged(car),
        "counts": asdict(elevator.counts),
        "last_bad": elevator.last_bad,
    }
