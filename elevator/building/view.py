"""A building as a page shows it: JSON values made of machines, passengers and what nodes say. Pure.

A value changes only when something happens. A car on its way is told as its place at some moment and its speed, so the
page can draw it between two messages; the browser's frames need no messages at all.
"""

from collections.abc import Mapping, Sequence

from elevator.building import elevator as machines
from elevator.building import passengers
from elevator.building import shaft as physics
from elevator.building.elevator import Machine
from elevator.building.passengers import Crowd, Profile, Stage
from elevator.core.call_set import mask
from elevator.core.model import Button, Buttons, Direction, Heartbeat

RECENT = 120
"""Waits shown one by one."""

Json = Mapping[str, object]


def building(floors: int, cars: int, nodes: bool) -> Json:
    """Return what never changes; *nodes*: whether there are nodes that can be hurt."""
    return {"floors": floors, "cars": cars, "nodes": nodes, "profiles": [str(profile) for profile in Profile]}


def car(machine: Machine, port: int, client: bool, card: bool | None) -> Json:
    """Return one car in its shaft and its panel; *card*: whether it is plugged in, None if there is none."""
    shaft = machine.shaft
    speed = 1000 * shaft.motor / physics.spacing(shaft) if physics.is_moving(shaft, shaft.since_ms) else 0
    return {
        "height": round(physics.position(shaft, shaft.since_ms), 4),
        "since_ms": shaft.since_ms,
        "speed": round(speed, 6),
        "motor": int(shaft.motor),
        "power": shaft.powered,
        "out": machine.out,
        "sensor": machine.sensed,
        "door": machine.door,
        "lamps": lists(machine.lamps),
        "pressed": lists(machines.pressed(machine)),
        "indicator": machine.indicator,
        "stop": machine.stop,
        "stop_lamp": machine.stop_lamp,
        "obstructed": machine.obstructed,
        "client": client,
        "card": card,
        "port": port,
        "misbehaviour": machines.misbehaviour(machine.counts),
    }


def lists(of: Buttons) -> dict[str, list[int]]:
    """Return the floors of each kind of button."""
    return {button.name.lower(): machines.floors_of(mask(of, button)) for button in Button}


def node(state: str, plugged: bool, heard: bool, heartbeat: Heartbeat | None) -> Json:
    """Return one node: what was done to it, and what it said last."""
    told: Json = {}
    if heartbeat is not None:
        status, claims = heartbeat.car, heartbeat.claims
        told = {
            "direction": int(status.direction),
            "behaviour": status.behaviour.name.lower(),
            "fault": str(status.fault),
            "up": machines.floors_of(claims.up),
            "down": machines.floors_of(claims.down),
        }
    return {"state": state, "plugged": plugged, "heard": heard, **told}


def people(crowd: Crowd) -> Json:
    """Return how many wait on each floor to go up and down, and how many are in each car and where they go."""
    traffic = crowd.traffic
    up, down = [0] * traffic.floors, [0] * traffic.floors
    riding: list[list[int]] = [[] for _ in range(traffic.cars)]
    for each in crowd.present:
        if each.stage is Stage.RIDING and each.car is not None:
            riding[each.car].append(each.trip.destination)
        elif passengers.direction(each.trip) is Direction.UP:
            up[each.trip.origin] += 1
        else:
            down[each.trip.origin] += 1
    return {"up": up, "down": down, "riding": riding}


def traffic(crowd: Crowd) -> Json:
    """Return how people come."""
    return {"rate": round(crowd.traffic.per_minute), "profile": str(crowd.traffic.profile)}


def waits(crowd: Crowd, now_ms: int) -> Json:
    """Return how long passengers waited, to a tenth of a second: who still waits has done so until *now_ms*."""
    tally = passengers.tally(crowd, now_ms)
    return {
        "served": tally.served,
        "here": tally.under_way,
        "mean_ms": round(tally.mean_wait_ms / 100) * 100,
        "longest_ms": tally.longest_wait_ms // 100 * 100,
    }


def recent(crowd: Crowd) -> list[tuple[int, int]]:
    """Return the latest waits, oldest first: when each ended, and how long it was, in milliseconds."""
    waits = [(each.boarded_at_ms, passengers.waited_ms(each)) for each in passengers.boarded(crowd)]
    return sorted(waits)[-RECENT:]


def scene(
    machines_: Sequence[Machine],
    ports: Sequence[int],
    clients: Sequence[bool],
    cards: Sequence[bool | None],
    crowd: Crowd,
    now_ms: int,
) -> Json:
    """Return all of a building but its nodes."""
    cars = zip(machines_, ports, clients, cards, strict=True)
    return {
        "people": people(crowd),
        "traffic": traffic(crowd),
        "waits": waits(crowd, now_ms),
        "recent": recent(crowd),
        **{f"car{number}": car(*each) for number, each in enumerate(cars)},
    }
