"""The actions of a car: start, stop, open the door, serve calls, close the door. Pure.

1. A car decides while it is stationary, or at the moment it reaches a floor. Between floors it keeps its direction,
   unless it searches for a floor.
2. A car between floors that does not know its position searches for a floor: downwards, then upwards, and so on (C4).
   If it may be below floor 0, it begins upwards.
3. A *sensor edge* is a change of the floor sensor. If the next edge of a moving car is overdue, the car has a motor
   fault, unless it searches for a floor. The node repeats the motor command every second, until the next edge ends the
   fault (C8).
4. A car with an open door serves calls at its floor immediately: the cab call, and the hall call in its direction. If
   it has announced no direction and has no calls ahead, it may serve the other hall call instead. Each call served
   extends the stop. From DOOR_EXTENSION_MS after the door opened, the stop serves no further calls (C6).
"""

from typing import NamedTuple, assert_never

from elevator.core import door, motion, travel_times
from elevator.core.door import DOOR_EXTENSION_MS, Phase
from elevator.core.drive import STAND_MS, Activity, Drive, edge_timeout_ms
from elevator.core.evolve import evolve, frozen
from elevator.core.model import NEVER_MS, Behaviour, Button, Buttons, Call, Direction, Fault

PARK_AFTER_MS = 200
"""How long an idle car stands before it drives to its waiting floor, so that heartbeats of other cars can arrive first.
With 500 ms, the mean wait in `elevator bench dispatch` is 0.3 to 0.5 % longer."""
RETRY_MS = 1000
"""The interval at which the motor command is repeated during a motor fault."""


@frozen
class Tasks:
    """The calls that a car answers or may serve on the spot, and the floor where it waits."""

    id: int
    work: Buttons
    """The hall calls assigned to this car, and its cab calls."""
    calls: Buttons
    """All hall calls of the group, and the cab calls of this car."""
    target: int | None = None
    """The floor where the car waits when it is idle; None if it should stay where it is."""

    def work_at(self, floor: int | None) -> Buttons:
        """Return `work` plus all hall calls at *floor*, because a car that stops there may serve any of them."""
        assert floor is not None
        here = 1 << floor
        return self.work | (self.calls & Buttons(here, here))


class Acted(NamedTuple):
    car: Drive
    served: frozenset[Call]
    """The calls that have just been served through the open door."""
    due_at_ms: int
    """When to call `act` again if no input changes; NEVER_MS if only an input can cause an action."""


def act(car: Drive, now_ms: int, tasks: Tasks) -> Acted:
    """Choose and carry out the next action of *car*. A held car (drive.py) does not act."""
    if car.held:
        return Acted(car, frozenset(), NEVER_MS)
    served: frozenset[Call] = frozenset()
    activity, phase = car.activity, car.door.phase
    match activity:
        case Activity.RUNNING:
            car = travel(car, now_ms)
        case Activity.ARRIVED:
            car = decide(car, now_ms, tasks.work, tasks.target)
        case Activity.RESTING if phase is Phase.CLOSED:
            car = rest(car, now_ms, tasks)
        case Activity.RESTING if phase is Phase.STOPPING and car.is_standing:
            # Another car may have served the call since this car began to stop.
            car = decide(car, now_ms, tasks.work_at(car.position.floor), tasks.target)
        case Activity.RESTING if phase is Phase.OPEN:
            car, served = hold_open(car, now_ms, tasks)
        case Activity.RESTING:
            pass
        case _:
            assert_never(activity)
    return Acted(car, served, act_at_ms(car, now_ms))


def act_at_ms(car: Drive, now_ms: int) -> int:
    """Return when to call `act` again if no input changes; NEVER_MS if only an input can cause an action."""
    if car.activity is Activity.RESTING and car.door.phase is Phase.OPEN:
        return NEVER_MS if car.door.obstructed else car.door.close_at_ms
    return car.due_at_ms if car.due_at_ms > now_ms else NEVER_MS


def travel(car: Drive, now_ms: int) -> Drive:
    """React if the next sensor edge is overdue.

    A car that searches for a floor reverses, and then searches for longer. Any other car gets a motor fault, and its
    motor command is repeated.
    """
    if now_ms < car.due_at_ms:
        return car
    car = evolve(car, motor_try=car.motor_try + 1)
    if car.position.floor is None:
        return start(evolve(car, times=travel_times.search_longer(car.times)), now_ms, car.direction.opposite)
    return evolve(car, fault=Fault.MOTOR, due_at_ms=now_ms + RETRY_MS)


def rest(car: Drive, now_ms: int, tasks: Tasks) -> Drive:
    if car.position.floor is None:
        return start(car, now_ms, car.direction)
    return decide(car, now_ms, tasks.work, tasks.target if now_ms >= car.due_at_ms else None)


def decide(car: Drive, now_ms: int, work: Buttons, target: int | None) -> Drive:
    """Choose and carry out the next action of a car at a floor."""
    floor = car.position.floor
    assert floor is not None
    behaviour, direction = motion.decide(floor, car.direction, work)
    if behaviour is Behaviour.IDLE:
        behaviour, direction = motion.decide_idle(floor, direction, target)
    return carry_out(car, now_ms, behaviour, direction)


def hold_open(car: Drive, now_ms: int, tasks: Tasks) -> tuple[Drive, frozenset[Call]]:
    """Serve the calls at the open door. Return the car and the calls served.

    When the dwell time is over and the door is not obstructed, end the stop, or begin another one with the door open.
    """
    car, served = serve(car, now_ms, tasks)
    if car.door.obstructed or now_ms < car.door.close_at_ms:
        return car, served
    floor, work = car.position.floor, tasks.work_at(car.position.floor)
    assert floor is not None
    car = carry_out(car, now_ms, *motion.decide(floor, car.direction, work, departing=True))
    return serve(car, now_ms, tasks) if car.door.phase is Phase.OPEN else (car, served)


def carry_out(car: Drive, now_ms: int, behaviour: Behaviour, direction: Direction) -> Drive:
    """Carry out *behaviour* for a car at a floor: start or continue to move, rest, or begin a stop."""
    match behaviour:
        case Behaviour.MOVING:
            is_straight = car.activity is Activity.ARRIVED and car.direction is direction
            return evolve(car, activity=Activity.RUNNING) if is_straight else start(car, now_ms, direction)
        case Behaviour.IDLE:
            if car.activity is Activity.RESTING and not door.is_at_stop(car.door):
                return car
            due_at_ms, new_door = now_ms + PARK_AFTER_MS, door.close(car.door)
        case Behaviour.DOOR_OPEN:
            due_at_ms, new_door = now_ms + STAND_MS, door.stop(car.door, now_ms, car.is_standing)
        case _:
            assert_never(behaviour)
    return evolve(car, activity=Activity.RESTING, direction=direction, due_at_ms=due_at_ms, door=new_door)


def start(car: Drive, now_ms: int, direction: Direction) -> Drive:
    times = travel_times.begin(car.times, now_ms)
    car = evolve(car, activity=Activity.RUNNING, direction=direction, door=door.close(car.door), times=times)
    return evolve(car, due_at_ms=now_ms + edge_timeout_ms(car))


def serve(car: Drive, now_ms: int, tasks: Tasks) -> tuple[Drive, frozenset[Call]]:
    """Serve the calls at the open door. Return the car and the calls served.

    From DOOR_EXTENSION_MS after the door opened, further calls wait for another stop. A car that is out of service
    because its door is held open serves only cab calls.
    """
    floor = car.position.floor
    assert floor is not None
    assert car.door.opened_at_ms is not None
    if now_ms >= car.door.opened_at_ms + DOOR_EXTENSION_MS:
        return car, frozenset()
    work = Buttons(cab=tasks.work.cab) if car.fault is Fault.DOOR else tasks.work_at(floor)
    direction = car.direction
    if not car.door.announced and not motion.has_work_beyond(floor, direction, tasks.work):
        direction = motion.announced(floor, direction, work)
    served = motion.cleared(floor, direction, work, tasks.id)
    if not served:
        return car, served
    announces = any(call.button is not Button.CAB for call in served)
    return evolve(car, direction=direction, door=door.extend(car.door, now_ms, announces)), served
