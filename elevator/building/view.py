"""The JSON values that the page draws: cars, passengers and nodes. Pure functions.

The values of a car do not change while it merely moves between two events. For a moving car the page gets a height, the
time of that height and a speed. From these the page computes the position in each frame.
"""

from collections.abc import Mapping

from elevator.building import elevators, passengers
from elevator.building import shaft as physics
from elevator.building.elevators import SimulatedElevator
from elevator.building.passengers import Crowd, Profile, Stage
from elevator.core.call_set import mask
from elevator.core.messages import Heartbeat
from elevator.core.model import Button, Buttons, Direction, bits

Json = Mapping[str, object]


def building(floors: int, cars: int, driver: str = "", network: bool = False) -> Json:
    """Return the values of the building that never change.

    *driver* says what drives the cars: "node" for this program's nodes, "controller" for another program's controllers,
    or "" if the page cannot kill or freeze the programs that drive them. *network* is true if the page controls the
    network between the nodes or controllers.
    """
    profiles = [str(profile) for profile in Profile]
    return {"floors": floors, "cars": cars, "driver": driver, "network": network, "profiles": profiles}


def car(elevator: SimulatedElevator, port: int, serves: bool, has_client: bool, card: bool | None) -> Json:
    """Return the values of one car.

    *serves* is true if the elevator server runs. *card* says whether the I/O card is plugged in; None if there is none.
    """
    shaft = elevator.shaft
    speed = 1000 * shaft.motor / physics.spacing(shaft) if physics.is_moving(shaft, shaft.since_ms) else 0
    return {
        **panel(elevator),
        "height": round(physics.position(shaft, shaft.since_ms), 4),
        "since_ms": shaft.since_ms,
        "speed": round(speed, 6),
        "motor": int(shaft.motor),
        "out": elevator.out,
        "server": serves,
        "client": has_client,
        "card": card,
        "port": port,
    }


def panel(elevator: SimulatedElevator) -> Json:
    """Return the values of one elevator that both the page and the control socket show."""
    return {
        "sensor": elevator.sensed,
        "power": elevator.shaft.powered,
        "door": elevator.door,
        "lamps": floors_by_button(elevator.lamps),
        "pressed": floors_by_button(elevators.pressed(elevator)),
        "indicator": elevator.indicator,
        "stop": elevator.stop,
        "stop_lamp": elevator.stop_lamp,
        "obstructed": elevator.obstructed,
        "misbehaviour": elevators.misbehaviour(elevator.counts),
    }


def floors_by_button(buttons: Buttons) -> dict[str, list[int]]:
    return {button.name.lower(): bits(mask(buttons, button)) for button in Button}


def controller(state: str, plugged: bool | None) -> Json:
    """Return the values that this program's nodes and other programs' controllers have in common.

    *state* comes from `Controllers.states`. *plugged* is true if the network cable is plugged in; None if the page does
    not control the network.
    """
    return {"state": state, "plugged": plugged}


def heartbeat(heard: bool, heartbeat: Heartbeat | None) -> Json:
    """Return what a node reports in its last *heartbeat* (None: there was none).

    *heard* says whether this heartbeat is recent.
    """
    values: dict[str, object] = {"heard": heard}
    if heartbeat is not None:
        status, claims = heartbeat.car, heartbeat.claims
        values |= {
            "direction": int(status.direction),
            "behaviour": status.behaviour.name.lower(),
            "fault": str(status.fault),
            "up": bits(claims.up),
            "down": bits(claims.down),
        }
    return values


def people(crowd: Crowd) -> Json:
    """Return how many passengers wait or board at each floor, by direction, and where those in each car want to go."""
    flow = crowd.flow
    up, down = [0] * flow.floors, [0] * flow.floors
    riding: list[list[int]] = [[] for _ in range(flow.cars)]
    for each in crowd.present:
        if each.stage is Stage.RIDING and each.car is not None:
            riding[each.car].append(each.trip.destination)
        elif passengers.direction(each.trip) is Direction.UP:
            up[each.trip.origin] += 1
        else:
            down[each.trip.origin] += 1
    return {"up": up, "down": down, "riding": riding}


def flow(crowd: Crowd) -> Json:
    """Return the passengers per minute and the profile of the passenger flow."""
    return {"rate": round(crowd.flow.per_minute), "profile": str(crowd.flow.profile)}


def waits(crowd: Crowd, now_ms: int) -> Json:
    """Return passenger counts and waiting times. The times are multiples of 100 ms so that they change less often."""
    tally = passengers.tally(crowd, now_ms)
    return {
        "served": tally.served,
        "here": tally.under_way,
        "mean_ms": round(tally.mean_wait_ms / 100) * 100,
        "longest_ms": tally.longest_wait_ms // 100 * 100,
    }
