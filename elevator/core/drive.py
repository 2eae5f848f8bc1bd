"""The state of one car, its motor command and its faults. Pure.

The parts of a car have modules of their own: position.py, travel_times.py and door.py. `sense` updates the car from a
snapshot of the panel. Then the node assigns the calls, and act.py chooses the next action.

1. The node does not close an obstructed door. After the obstruction clears, the door stays open for another full dwell
   time (D2). If one obstruction outlasts the dwell time by a grace period, the car goes out of service. The same
   happens if repeated obstructions keep the door open for too long (C6). Other cars then serve all hall calls, even at
   this car's floor.
2. Five conditions *hold* a car: a stop button that is down, a dead sensor, a lost panel, a halt of the I/O card
   (card_client.py), and a listening node (step.py). While a car is held, its motor is stopped and its door gets no new
   command.
3. If a car leaves its floor while its motor is stopped, its door closes, even if it is obstructed or the car is held.
4. When a car stops to open its door, the panel must confirm that the car is stationary at the floor. If this takes
   longer than STAND_MS, the floor sensor may be wrong. The car is then out of service until the confirmation arrives.
"""

from enum import Enum, auto
from functools import cached_property
from typing import NamedTuple

from elevator.core import door, position, travel_times
from elevator.core.door import Door, Phase
from elevator.core.evolve import evolve, frozen
from elevator.core.messages import OpenDoor
from elevator.core.model import NEVER_MS, Behaviour, Car, Direction, Fault, Inputs, Motor
from elevator.core.position import Position
from elevator.core.travel_times import TravelTimes

STAND_MS = 1000
"""How long the panel may take to confirm that the car is stationary: two replies, which take up to 500 ms each."""
RECHECK_MS = 10
"""The interval at which to check whether the sensor repeats an impossible floor reading, once DOUBT_MS (position.py)
have passed."""


class Activity(Enum):
    """What the motor does unless the car is held."""

    RESTING = auto()
    """The motor is stopped. The door may be open."""
    RUNNING = auto()
    ARRIVED = auto()
    """The motor is running. The car has just reached a floor, or has just ceased to be held at one, and has not decided
    yet whether to stop."""


@frozen(slots=False)
class Drive:
    """The state of a car."""

    position: Position = Position()
    times: TravelTimes = TravelTimes()
    door: Door = Door()
    activity: Activity = Activity.RESTING
    direction: Direction = Direction.DOWN
    held: bool = True
    """True while one of the five conditions in the module's introduction holds the car."""
    fault: Fault = Fault.SERVER
    due_at_ms: int = 0
    """If the car is moving, the deadline for the next sensor edge, or when to repeat the motor command during a motor
    fault. If the panel must confirm that the car is stationary, the deadline for that. If the car is idle, when it may
    park."""
    motor_try: int = 0
    """A counter. It increases whenever a sensor edge is overdue, so that even an unchanged motor command is sent again
    (`Outputs.motor_try`)."""
    is_standing: bool = False
    """True if the last snapshot confirmed that the car was stationary at its floor, and the car was not held then."""

    @property
    def behaviour(self) -> Behaviour:
        if self.activity is not Activity.RESTING:
            return Behaviour.MOVING
        return Behaviour.DOOR_OPEN if door.is_at_stop(self.door) else Behaviour.IDLE

    @cached_property
    def public(self) -> Car:
        """The state that heartbeats carry and the assignment uses.

        A car that has just reached a floor counts as idle, because it may stop there.
        """
        behaviour = Behaviour.IDLE if self.activity is Activity.ARRIVED else self.behaviour
        is_announced = self.door.announced or behaviour is not Behaviour.DOOR_OPEN
        return Car(self.position.floor or 0, self.direction, behaviour, self.fault, self.door.obstructed, is_announced)


def boot(inherited: OpenDoor | None) -> Drive:
    """Return the state of a car at startup.

    *inherited* is the door that the previous incarnation may have left open; None if there is none.
    """
    return Drive() if inherited is None else Drive(door=Door(Phase.UNKNOWN, inherited=inherited))


class Sensed(NamedTuple):
    car: Drive
    due_at_ms: int
    """When to call `sense` again if no input changes."""


def sense(
    car: Drive, now_ms: int, inputs: Inputs | None, floors: int, listening: bool, asked_at_ms: int | None = None
) -> Sensed:
    """Update the car from a snapshot of the panel, and diagnose faults.

    *inputs* is None if the panel is lost. *listening* is true while the node listens, which holds the car.
    *asked_at_ms* is when the node requested the snapshot; None means at *now_ms*.
    """
    if inputs is None:
        return Sensed(lose_panel(car, now_ms), NEVER_MS)
    if car.door.inherited is not None and position.is_in_shaft(inputs.floor, floors):
        car = inherit(car, now_ms, inputs.floor, car.door.inherited)
    car = locate(car, now_ms, now_ms if asked_at_ms is None else asked_at_ms, inputs.floor, floors)
    car = hold(car, now_ms, held=inputs.stop or inputs.halted or listening or car.position.is_dead)
    is_stopped, is_open = inputs.confirmed.motor_stopped, inputs.confirmed.door_open
    is_standing = not car.held and is_stopped and car.position.at_floor and inputs.floor == car.position.floor
    new_door = door.confirm(car.door, now_ms, is_standing, is_open, inputs.obstructed)
    if new_door is not car.door or is_standing != car.is_standing:
        car = evolve(car, door=new_door, is_standing=is_standing)
    fault, due_at_ms = diagnose(car, now_ms, inputs.stop)
    if fault is not car.fault:
        car = evolve(car, fault=fault)
    accept_at_ms = car.position.accept_at_ms
    if accept_at_ms is None:
        return Sensed(car, due_at_ms)
    return Sensed(car, min(due_at_ms, max(accept_at_ms, now_ms + RECHECK_MS)))


def diagnose(car: Drive, now_ms: int, is_stop_pressed: bool) -> tuple[Fault, int]:
    """Return the fault of *car*, and when to diagnose it again if no input changes.

    This function keeps a motor fault that `act.travel` has set, but does not detect one.
    """
    if is_stop_pressed:
        return Fault.STOP, NEVER_MS
    if car.position.floor is None or car.position.is_dead:
        return Fault.POSITION, NEVER_MS
    if car.activity is not Activity.RESTING:
        return Fault.MOTOR if car.fault is Fault.MOTOR else Fault.NONE, NEVER_MS
    blocked_at_ms = door.blocked_at_ms(car.door)
    if now_ms >= blocked_at_ms:
        return Fault.DOOR, NEVER_MS
    is_waiting = car.door.phase in (Phase.STOPPING, Phase.UNKNOWN) and car.door.inherited is None
    if car.held or car.is_standing or not is_waiting:
        return Fault.NONE, blocked_at_ms
    return (Fault.POSITION, NEVER_MS) if now_ms >= car.due_at_ms else (Fault.NONE, min(car.due_at_ms, blocked_at_ms))


def inherit(car: Drive, now_ms: int, report: int | None, left: OpenDoor) -> Drive:
    """Resume the stop of the previous incarnation, if the car is still at the floor of that stop.

    Otherwise tell the door to close. *left* is the door that the previous incarnation may have left open. *report*
    is the first report of the floor sensor since startup that is not a floor outside the shaft. The record does not say
    whether a direction was announced. Assume that it was, because passengers may have relied on it when they entered.
    """
    if report != left.floor:
        return evolve(car, door=Door())
    where = evolve(car.position, floor=left.floor, at_floor=True)
    known = Door(Phase.UNKNOWN, announced=True, opened_at_ms=now_ms, close_at_ms=now_ms + door.DOOR_OPEN_MS)
    return evolve(car, position=where, direction=left.direction, door=known)


def lose_panel(car: Drive, now_ms: int) -> Drive:
    """Update *car* while its panel is lost. The car may be anywhere, and its door may be open."""
    lost = door.lose(car.door, now_ms, car.position.at_floor)
    is_at_stop = lost.phase is Phase.UNKNOWN and lost.inherited is None
    return evolve(
        car,
        position=position.distrust(car.position),
        times=travel_times.interrupt(car.times),
        door=lost,
        activity=Activity.RESTING if is_at_stop else car.activity,
        held=True,
        fault=Fault.SERVER,
    )


def locate(car: Drive, now_ms: int, asked_at_ms: int, report: int | None, floors: int) -> Drive:
    """Update the car from the floor sensor's *report*. If the report is rejected, only note that (position.py)."""
    old = car.position
    heading = None if car.activity is Activity.RESTING else car.direction
    new = position.judge(old, now_ms, asked_at_ms, report, floors, heading)
    if new is not old:
        car = evolve(car, position=new)
    if not new.trusted and car.times.since_ms is not None:
        car = evolve(car, times=travel_times.interrupt(car.times))
    if new.accept_at_ms is not None:
        return car
    # If reports were rejected, the sensor edge may have occurred at the first rejected report.
    is_exact = new.trusted and old.accept_at_ms is None
    if report is None:
        return leave_sensor(car, now_ms, is_exact, floors)
    if new.at_floor and report == new.floor:
        return car if new.trusted else evolve(car, position=evolve(new, trusted=True))
    return reach(car, now_ms, report, is_exact)


def leave_sensor(car: Drive, now_ms: int, is_exact: bool, floors: int) -> Drive:
    if car.activity is Activity.RESTING or (car.position.at_floor and is_end(car, floors)):
        return lose_floor(car, now_ms)
    if not car.position.at_floor:
        return car
    between = evolve(car.position, at_floor=False)
    times = travel_times.cleared(car.times, now_ms, is_exact, car.fault is Fault.MOTOR)
    car = evolve(car, position=between, times=times, activity=Activity.RUNNING, fault=Fault.NONE)
    return evolve(car, due_at_ms=now_ms + edge_timeout_ms(car))


def lose_floor(car: Drive, now_ms: int) -> Drive:
    """Update a *car* that is between floors and whose motor should be stopped.

    It starts there, was moved by hand, or left an end floor because its motor stopped late. `act.rest` lets it search
    for a floor. If it may be below the lowest floor, it searches upwards first.
    """
    if car.position.floor is None:
        return car
    nowhere = evolve(car.position, floor=None, at_floor=False)
    search = Direction.UP if car.position.floor == 0 else Direction.DOWN
    car = evolve(car, position=nowhere, activity=Activity.RESTING, direction=search)
    return evolve(car, door=door.close(car.door), due_at_ms=now_ms)


def reach(car: Drive, now_ms: int, floor: int, is_exact: bool) -> Drive:
    old = car.position
    is_next = old.floor is not None and not old.at_floor and floor == old.floor + car.direction
    leg = (old.floor, car.direction) if is_next and old.floor is not None else None
    times = travel_times.reached(car.times, now_ms, is_exact, car.fault is Fault.MOTOR, leg)
    car = evolve(car, position=evolve(old, floor=floor, at_floor=True, trusted=True), times=times, fault=Fault.NONE)
    if car.activity is Activity.RESTING:
        return car
    return evolve(car, activity=Activity.ARRIVED, due_at_ms=now_ms + edge_timeout_ms(car))


def stall(car: Drive, now_ms: int) -> Drive:
    """Update *car* after a stall of the process, during which the car may have moved.

    The position is no longer trusted. If the car was moving, it stops, and its position is unknown.
    """
    lost, times = evolve(car.position, trusted=False), travel_times.interrupt(car.times)
    if car.activity is Activity.RESTING:
        return evolve(car, position=lost, times=times)
    lost = evolve(lost, floor=None, at_floor=False)
    car = evolve(car, activity=Activity.RESTING, direction=Direction.DOWN, due_at_ms=now_ms)
    return evolve(car, position=lost, times=times)


def delay(car: Drive, now_ms: int) -> Drive:
    """Discard the measurement of a travel time, because the step at *now_ms* is delayed (step.py).

    During the next VAGUE_MS (travel_times.py), no sensor edge begins a new measurement.
    """
    return evolve(car, times=travel_times.delay(car.times, now_ms))


def edge_timeout_ms(car: Drive) -> int:
    """Return the timeout for the next sensor edge of a moving *car*; during a search, the time until it reverses."""
    return travel_times.edge_timeout_ms(car.times, car.position, car.direction)


def hold(car: Drive, now_ms: int, held: bool) -> Drive:
    if held == car.held:
        return car
    if held:
        return evolve(car, held=True, times=travel_times.interrupt(car.times))
    car = evolve(car, held=False)
    if car.activity is Activity.RESTING:
        return evolve(car, due_at_ms=now_ms + STAND_MS) if door.is_at_stop(car.door) else car
    activity = Activity.ARRIVED if car.position.at_floor else Activity.RUNNING
    return evolve(car, activity=activity, due_at_ms=now_ms + edge_timeout_ms(car))


def door_record(car: Drive) -> OpenDoor | None:
    """Return the door's entry in the record; None if the door is closed or has been told to close."""
    return door.record(car.door, car.position.floor, car.direction)


def motor(car: Drive, floors: int) -> Motor:
    """Return the motor command. As a last safeguard, it is STOP if a car at an end floor would leave the shaft."""
    if car.activity is Activity.RESTING or car.held or is_end(car, floors):
        return Motor.STOP
    return Motor(car.direction)


def is_end(car: Drive, floors: int) -> bool:
    """Return whether the last floor reached is the end floor in the direction of *car*."""
    return car.position.floor == (0 if car.direction is Direction.DOWN else floors - 1)
