"""One car's state machine: snapshots of the panel in, position, door, motor and faults out. Pure.

1. Position is believed, not read: a report that cannot follow from the last one is counted and ignored, and taken as
   the truth only when it persists. Out of range it is never taken: a car whose sensor persists in that is unable, and
   stands. After that, a start, a lost server or a freeze any other is taken.
2. A car decides only where it can act: standing, or in the moment it reaches a floor. Between floors it goes on.
   One that becomes able by reaching a floor decides once it has been given its share of the calls.
3. A car between floors that does not know where it is looks for a floor, down first, then up, in turns.
4. The car learns how long it takes from floor to floor. A little longer than that without a sign is a motor fault.
   It keeps trying; the next sensor edge ends the fault. Only when it has taken as long the time before does it learn
   from such a stretch: a car can be slow, but power does not fail twice for the same time. Nor does it learn where an
   edge came while the program paused or its server was away: nobody knows when that was.
5. The door never closes while obstructed, and when that ends it gets another full period. Held open past its period,
   the car is out of service for hall calls and serves none, also not at this floor: others do.
6. A press for the floor where the door stands open is served on the spot if it agrees with the announced direction (or
   none was announced yet), and gives another full period, but not for ever: after a while it has to wait its turn.
7. While *held* (stop button, dead sensor, no server, motor halted by the port, just started or thawed) the motor stands
   and the door stays as it is.
8. A door that a former run of the program left open stays open for another full period, if the car is still there.
9. A command stops no car, and opens or shuts no door: its server may be slow, or gone. A door is told to open when the
   panel has shown since the motor was stopped that the car is at its floor, if there is still something to serve; and
   that is served when the panel has answered since. So that this is known anew of each opening, a door that was told
   to shut is not told to open before it has. After a lost server the door stays as it is until all this is known
   again, also one that had only been told to open, or to shut; then it stays open for another full period. A car that
   waits for it in vain has a sensor that lies: its position is unknown.
"""

from collections.abc import Mapping

from attrs import evolve, frozen

from elevator.core import motion
from elevator.core.model import (
    NEVER_MS,
    Behaviour,
    Button,
    Buttons,
    Call,
    Car,
    Direction,
    Fault,
    Inputs,
    Motor,
    OpenDoor,
)

DOOR_OPEN_MS = 3000
DOOR_GRACE_MS = 300
"""How long after its period an obstructed door makes the car unable. Shorter, and each passenger in it would."""
DOOR_EXTENSION_MS = 15_000
"""For how long after opening presses on the spot may prolong the period."""
DOUBT_MS = 100
"""How long an impossible floor report must last to be believed: longer than a glitch, shorter than a sensor's reach."""
VAGUE_MS = 50
"""A pause of the program so long makes a difference to what is learned. So long, too, its panel may take to tell what
happened in it."""
PARK_AFTER_MS = 200
"""How long a car rests before it goes to wait elsewhere: the less the better for those who come (0.5 % of the waits at
500 ms), but long enough for what the others say to be heard."""
STAND_MS = 1000
"""How long a car may take to be seen standing. Two answers of the slowest panel that is still believed."""
SEARCH_MS = 4000
"""How long to look for a floor in one direction at first; twice as long at each turn, to get further than before."""
SEARCH_MAX_MS = 64_000
RETRY_MS = 1000
"""How often a motor that does not move is told again."""
TRAVEL_PRIOR_MS = 2000
CLEAR_PRIOR_MS = 800
"""Times between and on floor sensors to expect before the first was measured. A slower car is called unable for a
moment on its first two stretches, which costs a double visit at most."""


@frozen
class Drive:
    """What a node knows and wants of its own car. The group sees what `public` returns."""

    floor: int | None = None
    """The last floor reached; None while unknown."""
    at_floor: bool = False
    """Whether the sensor of `floor` is active."""
    undecided: bool = False
    """Whether the car is at a floor where it has not yet been decided how to go on."""
    certain: bool = False
    """Whether the next floor report must follow from the last one."""
    doubted: int | None = None
    """The impossible report that is being ignored."""
    believe_at_ms: int | None = None
    """When it will be believed if it persists; None: no report is in doubt; NEVER_MS: it is out of range, and has."""
    doubts: int = 0
    """How many times they have been: counted for the log."""
    direction: Direction = Direction.DOWN
    behaviour: Behaviour = Behaviour.IDLE
    held: bool = True
    fault: Fault = Fault.SERVER
    announced: bool = False
    """Whether passengers have been told `direction` at this opening, by clearing its hall call."""
    stands: bool = False
    """Whether it is known to stand where it may open its door."""
    is_open: bool = False
    """Whether its door is known to be open."""
    obstructed: bool = False
    rested_at_ms: int = 0
    """Since when it has been idle, if it is."""
    opened_at_ms: int | None = None
    """Since when its door may be open at this stop, be it that its server has gone since; None: it has not been."""
    close_at_ms: int = 0
    since_ms: int | None = None
    """When the present stretch on or off a sensor began; None if that is not known exactly, or it was interrupted: it
    cannot be learned from."""
    vague_until_ms: int = -NEVER_MS
    """Until when an edge of a sensor may have been while the program paused."""
    crosses: bool = False
    """Whether it came to the sensor of `floor` from outside and has gone straight on since. One that starts on a sensor
    or turns there leaves it sooner, which tells nothing of how long crossing it takes."""
    due_at_ms: int = 0
    """When a moving car must have seen its next sensor edge, and one that is to open its door must be seen to stand."""
    search_ms: int = SEARCH_MS
    """How long the present search for a floor goes in one direction."""
    late_ms: int = 0
    """How long the last stretch took on which the motor was thought to stand."""
    motor_try: int = 0
    travel_ms: Mapping[tuple[int, Direction], int] = {}
    """Learned time from leaving a floor's sensor in a direction to reaching the next."""
    clear_ms: int = CLEAR_PRIOR_MS
    """Learned time to leave a floor's sensor."""
    inherited: OpenDoor | None = None
    """The door that a former run left open; None once a floor report has told whether it still can be."""


@frozen
class Surroundings:
    """What a car has to do, and where."""

    id: int
    floors: int
    mine: Buttons
    """The hall calls that are this car's share, and its cab calls."""
    hall: Buttons
    """All hall calls."""
    target: int | None
    """The floor where it should wait if it has nothing to do; None: anywhere."""
    listening: bool
    """Whether the node is still finding out what the others know, and should not set out yet."""


def drive(car: Drive, now_ms: int, inputs: Inputs | None, around: Surroundings) -> tuple[Drive, frozenset[Call]]:
    """Advance *car* to *now_ms* with what its panel says; return it with the calls it serves by an open door."""
    if inputs is None:
        return lose_panel(car, now_ms), frozenset()
    if car.inherited is not None and is_in_shaft(inputs.floor, around.floors):
        car = inherit(car, now_ms, inputs.floor, car.inherited)
    was_able = car.fault is Fault.NONE
    car = locate(car, now_ms, inputs.floor, around.floors)
    car = hold(car, now_ms, held=inputs.stop or inputs.halted or around.listening or is_blind(car))
    stood = car.stands
    car = watch_door(car, now_ms, inputs)
    served: frozenset[Call] = frozenset()
    if not car.held:
        if car.behaviour is Behaviour.IDLE:
            car = rest(car, now_ms, around) if not inputs.door and car.inherited is None else car
        elif car.behaviour is Behaviour.MOVING:
            car = travel(car, now_ms, around) if was_able or not car.undecided else car
        elif car.stands and not stood and car.opened_at_ms is None:
            car = open_up(car, now_ms, around)
        elif car.is_open:
            car, served = stand_open(car, now_ms, around)
    return (car if car.fault is (fault := diagnose(car, now_ms, inputs)) else evolve(car, fault=fault)), served


def inherit(car: Drive, now_ms: int, report: int | None, door: OpenDoor) -> Drive:
    """Go on with an open *door*, if the first floor *report* that can be true agrees.

    Its direction has been announced for all that is known: nobody who has entered is taken the other way.
    """
    car = evolve(car, inherited=None)
    if report != door.floor:
        return car
    floor, direction = door
    car = evolve(car, floor=floor, at_floor=True, direction=direction, announced=True, behaviour=Behaviour.DOOR_OPEN)
    return evolve(car, opened_at_ms=now_ms, close_at_ms=now_ms + DOOR_OPEN_MS)


def lose_panel(car: Drive, now_ms: int) -> Drive:
    """Go on without a panel: a door that was told to open, or to shut, may be open."""
    if car.is_open and car.at_floor:
        car = evolve(car, behaviour=Behaviour.DOOR_OPEN)
    elif car.stands and car.behaviour is Behaviour.DOOR_OPEN:
        car = evolve(car, opened_at_ms=now_ms)
    believe_at_ms = car.believe_at_ms if is_blind(car) else None
    car = evolve(car, held=True, fault=Fault.SERVER, certain=False, since_ms=None, believe_at_ms=believe_at_ms)
    return evolve(car, stands=False, is_open=False)


def locate(car: Drive, now_ms: int, report: int | None, floors: int) -> Drive:
    """Take the floor sensor's *report*, if it can be true."""
    in_shaft = is_in_shaft(report, floors)
    if not in_shaft or (car.certain and not follows(car, report)):
        doubted = report if in_shaft else floors  # whichever floor it is that there is not
        if car.believe_at_ms is None or car.doubted != doubted:
            believe_at_ms = now_ms + DOUBT_MS if car.certain else NEVER_MS
            return evolve(car, doubted=doubted, believe_at_ms=believe_at_ms, doubts=car.doubts + 1)
        if now_ms < car.believe_at_ms:
            return car
        if not in_shaft:
            return evolve(car, believe_at_ms=NEVER_MS, certain=False, since_ms=None)
        car = evolve(car, certain=False, since_ms=None)
    if car.believe_at_ms is not None:  # An edge may have been at any time since it began.
        car = evolve(car, believe_at_ms=None, vague_until_ms=max(car.vague_until_ms, now_ms + 1))
    if report is None:
        return leave_sensor(car, now_ms)
    if car.at_floor and report == car.floor:
        return car if car.certain else evolve(car, certain=True)
    return reach(car, now_ms, report)


def is_in_shaft(report: int | None, floors: int) -> bool:
    return report is None or 0 <= report < floors


def follows(car: Drive, report: int | None) -> bool:
    """Tell whether *report* can follow from what is believed of *car*."""
    if car.floor is None or report == car.floor:
        return True
    if car.behaviour is not Behaviour.MOVING:
        return False
    return report is None or (not car.at_floor and report == car.floor + car.direction)


def lose(car: Drive) -> Drive:
    """Give up the belief in a position: the program was frozen, and the car may have gone on meanwhile."""
    if car.behaviour is Behaviour.MOVING:
        car = evolve(car, floor=None, at_floor=False, behaviour=Behaviour.IDLE)
    return evolve(car, certain=False, since_ms=None)


def pause(car: Drive, now_ms: int, late_ms: int) -> Drive:
    """Leave out *late_ms*, for which the program did not run though it should have, from the age of an odd report.

    Nor learn from a stretch that began or ended meanwhile, as far as anybody knows, if that makes a difference.
    """
    if late_ms >= VAGUE_MS:
        car = evolve(car, since_ms=None, vague_until_ms=now_ms + VAGUE_MS)
    return car if car.believe_at_ms is None else evolve(car, believe_at_ms=car.believe_at_ms + late_ms)


def is_blind(car: Drive) -> bool:
    """Tell whether its floor sensor persists in naming a floor that there is not."""
    return car.believe_at_ms is not None and car.believe_at_ms >= NEVER_MS


def leave_sensor(car: Drive, now_ms: int) -> Drive:
    if car.behaviour is not Behaviour.MOVING:  # it was moved, or has just been found between floors
        return evolve(car, floor=None, at_floor=False, behaviour=Behaviour.IDLE) if car.floor is not None else car
    if not car.at_floor:
        return car
    clear_ms = car.clear_ms
    if car.since_ms is not None:
        took_ms = now_ms - car.since_ms
        if is_usual(car, took_ms):
            clear_ms = settle(clear_ms, took_ms) if car.crosses else max(clear_ms, took_ms)
        car = note_late(car, took_ms)
    since_ms = edge_ms(car, now_ms)
    car = evolve(car, at_floor=False, undecided=False, clear_ms=clear_ms, since_ms=since_ms, fault=Fault.NONE)
    return evolve(car, due_at_ms=now_ms + patience_ms(car))


def reach(car: Drive, now_ms: int, floor: int) -> Drive:
    learned = car.travel_ms
    if car.since_ms is not None and car.floor is not None and not car.at_floor and floor == car.floor + car.direction:
        leg, took_ms = (car.floor, car.direction), now_ms - car.since_ms
        if is_usual(car, took_ms):
            learned = {**learned, leg: settle(learned.get(leg, took_ms), took_ms)}
        car = note_late(car, took_ms)
    since_ms = edge_ms(car, now_ms)
    car = evolve(car, floor=floor, at_floor=True, certain=True, undecided=True, travel_ms=learned, since_ms=since_ms)
    return evolve(car, crosses=True, fault=Fault.NONE, due_at_ms=now_ms + patience_ms(car), search_ms=SEARCH_MS)


def edge_ms(car: Drive, now_ms: int) -> int | None:
    """Return when the edge of a sensor was that has just been told; None if it may have been long ago, or is none."""
    return now_ms if car.certain and now_ms >= car.vague_until_ms else None


def is_usual(car: Drive, took_ms: int) -> bool:
    """Tell whether a stretch that *took_ms* is one to learn from."""
    return car.fault is not Fault.MOTOR or abs(took_ms - car.late_ms) <= took_ms // 20


def note_late(car: Drive, took_ms: int) -> Drive:
    return evolve(car, late_ms=took_ms) if car.fault is Fault.MOTOR else car


def settle(learned_ms: int, took_ms: int) -> int:
    """Follow a longer time at once and a shorter one slowly: what matters is the longest that is normal."""
    return max(took_ms, (7 * learned_ms + took_ms) // 8)


def patience_ms(car: Drive) -> int:
    """Return how long the next sensor edge of a moving *car* may take, or until one is seen to stand."""
    if car.behaviour is Behaviour.DOOR_OPEN:
        return STAND_MS
    if car.floor is None:
        return car.search_ms
    if car.at_floor:
        usual_ms = car.clear_ms
    else:
        usual_ms = car.travel_ms.get((car.floor, car.direction)) or max(car.travel_ms.values(), default=TRAVEL_PRIOR_MS)
    return usual_ms * 21 // 20 + 60


def hold(car: Drive, now_ms: int, held: bool) -> Drive:
    if held == car.held:
        return car
    if held:
        return evolve(car, held=True, since_ms=None)
    undecided = car.at_floor and car.behaviour is Behaviour.MOVING
    return evolve(car, held=False, undecided=undecided, due_at_ms=now_ms + patience_ms(car))


def watch_door(car: Drive, now_ms: int, inputs: Inputs) -> Drive:
    opens = car.behaviour is Behaviour.DOOR_OPEN
    stands = car.stands and opens
    if not car.held:
        stands = stands or (inputs.still and car.at_floor and inputs.floor == car.floor)
    if opens and inputs.door and not car.is_open:  # Its period begins when it is open, or known to be so again.
        is_stuck = car.opened_at_ms is not None and car.obstructed
        close_at_ms = car.close_at_ms if is_stuck else now_ms + DOOR_OPEN_MS
        car = evolve(car, opened_at_ms=now_ms, close_at_ms=close_at_ms)
    if (stands, inputs.door) != (car.stands, car.is_open):
        car = evolve(car, stands=stands, is_open=inputs.door)
    obstructed = inputs.obstructed and opens
    if obstructed == car.obstructed:
        return car
    close_at_ms = car.close_at_ms if obstructed else now_ms + DOOR_OPEN_MS
    return evolve(car, obstructed=obstructed, close_at_ms=close_at_ms)


def rest(car: Drive, now_ms: int, around: Surroundings) -> Drive:
    if car.floor is None:
        return start(car, now_ms, Direction.DOWN)
    target = around.target if now_ms >= car.rested_at_ms + PARK_AFTER_MS else None
    return go_on(car, now_ms, *decide(car.floor, car.direction, around.mine, target))


def travel(car: Drive, now_ms: int, around: Surroundings) -> Drive:
    if car.undecided and car.floor is not None:
        return go_on(car, now_ms, *decide(car.floor, car.direction, around.mine, around.target))
    if now_ms < car.due_at_ms:
        return car
    if car.floor is None:
        car = evolve(car, search_ms=min(2 * car.search_ms, SEARCH_MAX_MS), motor_try=car.motor_try + 1)
        return start(car, now_ms, car.direction.opposite)
    due_at_ms = now_ms + RETRY_MS
    return evolve(car, fault=Fault.MOTOR, motor_try=car.motor_try + 1, due_at_ms=due_at_ms)


def decide(floor: int, direction: Direction, work: Buttons, target: int | None) -> tuple[Behaviour, Direction]:
    """Choose what a car does that stands at *floor*, or has just reached it."""
    behaviour, chosen = motion.decide(floor, direction, work)
    return motion.wait(floor, direction, target) if behaviour is Behaviour.IDLE else (behaviour, chosen)


def open_up(car: Drive, now_ms: int, around: Surroundings) -> Drive:
    """Open the door of a car that has come to stand, or go on if what it has stopped for has been served meanwhile."""
    assert car.floor is not None
    return go_on(car, now_ms, *decide(car.floor, car.direction, with_hall_here(around, car.floor), around.target))


def stand_open(car: Drive, now_ms: int, around: Surroundings) -> tuple[Drive, frozenset[Call]]:
    """Serve what the open door serves, and shut it when it is time: no sooner than a period after the last service."""
    car, served = attend(car, now_ms, around)
    if car.obstructed or now_ms < car.close_at_ms:
        return car, served
    car = depart(car, now_ms, around)
    return attend(car, now_ms, around) if car.behaviour is Behaviour.DOOR_OPEN else (car, served)


def depart(car: Drive, now_ms: int, around: Surroundings) -> Drive:
    assert car.floor is not None
    work = with_hall_here(around, car.floor)
    return go_on(car, now_ms, *motion.decide(car.floor, car.direction, work, departing=True))


def go_on(car: Drive, now_ms: int, behaviour: Behaviour, direction: Direction) -> Drive:
    """Do what was decided at a floor."""
    if behaviour is Behaviour.MOVING:
        if car.behaviour is Behaviour.MOVING and car.direction is direction:
            return evolve(car, undecided=False)
        return start(car, now_ms, direction)
    if behaviour is Behaviour.IDLE:
        if car.behaviour is Behaviour.IDLE:
            return car
        return evolve(car, behaviour=behaviour, direction=direction, undecided=False, rested_at_ms=now_ms)
    return evolve(
        car,
        behaviour=behaviour,
        direction=direction,
        undecided=False,
        announced=False,
        opened_at_ms=now_ms if car.is_open else None,
        close_at_ms=now_ms + DOOR_OPEN_MS,
        due_at_ms=now_ms + STAND_MS,
    )


def start(car: Drive, now_ms: int, direction: Direction) -> Drive:
    car = evolve(car, behaviour=Behaviour.MOVING, direction=direction, undecided=False, since_ms=now_ms, crosses=False)
    return evolve(car, due_at_ms=now_ms + patience_ms(car))


def attend(car: Drive, now_ms: int, around: Surroundings) -> tuple[Drive, frozenset[Call]]:
    """Serve what an open door serves: what it was opened for, and what is pressed on the spot."""
    assert car.floor is not None
    assert car.opened_at_ms is not None
    if now_ms >= car.opened_at_ms + DOOR_EXTENSION_MS:
        return car, frozenset()
    if is_door_stuck(car, now_ms):
        work = Buttons(cab=around.mine.cab)
    else:
        work = with_hall_here(around, car.floor)
    direction = car.direction
    if not car.announced and not motion.has_work_beyond(car.floor, direction, around.mine):
        direction = motion.announced(car.floor, direction, work)
    served = motion.cleared(car.floor, direction, work, around.id)
    if not served:
        return car, served
    announced = car.announced or any(call.button is not Button.CAB for call in served)
    close_at_ms = max(car.close_at_ms, now_ms + DOOR_OPEN_MS) if not car.obstructed else car.close_at_ms
    return evolve(car, direction=direction, announced=announced, close_at_ms=close_at_ms), served


def with_hall_here(around: Surroundings, floor: int) -> Buttons:
    """Add to a car's work every hall call of the *floor* where its door is open, whoever was to serve it."""
    here = 1 << floor
    mine, hall = around.mine, around.hall
    return Buttons(mine.up | hall.up & here, mine.down | hall.down & here, mine.cab)


def is_door_stuck(car: Drive, now_ms: int) -> bool:
    return car.obstructed and now_ms >= car.close_at_ms + DOOR_GRACE_MS


def diagnose(car: Drive, now_ms: int, inputs: Inputs) -> Fault:
    """Name what keeps *car* from serving hall calls."""
    if inputs.stop:
        return Fault.STOP
    if car.floor is None or is_blind(car):
        return Fault.POSITION
    if car.behaviour is Behaviour.DOOR_OPEN:
        if is_door_stuck(car, now_ms):
            return Fault.DOOR
        return Fault.NONE if car.stands or car.held or now_ms < car.due_at_ms else Fault.POSITION
    if car.behaviour is Behaviour.MOVING and car.fault is Fault.MOTOR:
        return Fault.MOTOR
    return Fault.NONE


def motor(car: Drive, floors: int) -> Motor:
    """Return the motor command. The last line of defence: never past an end floor, whatever was decided."""
    at_end = car.at_floor and car.floor == (0 if car.direction is Direction.DOWN else floors - 1)
    if car.behaviour is not Behaviour.MOVING or car.held or at_end:
        return Motor.STOP
    return Motor(car.direction)


def door(car: Drive) -> bool | None:
    """Return whether the door should be open; None: it stays as it is, as nobody knows whether the car stands there."""
    if car.behaviour is not Behaviour.DOOR_OPEN:
        return False if car.inherited is None else None
    return True if car.stands else None


def wake_at_ms(car: Drive) -> int | None:
    """Return when *car* must be driven again if its panel says nothing new; None: not before it does."""
    times = [] if car.believe_at_ms is None or is_blind(car) else [car.believe_at_ms]
    if car.behaviour is Behaviour.DOOR_OPEN and car.obstructed:
        if car.fault is Fault.NONE:
            times.append(car.close_at_ms + DOOR_GRACE_MS)
    elif not car.held and car.behaviour is Behaviour.DOOR_OPEN:
        if car.stands:
            times += [car.close_at_ms] if car.is_open else []
        elif car.fault is Fault.NONE:
            times.append(car.due_at_ms)
    elif not car.held and car.behaviour is Behaviour.MOVING:
        times.append(car.due_at_ms)
    return min(times, default=None)


def open_door(car: Drive) -> OpenDoor | None:
    """Say where the door of *car* has been told to open, for the record."""
    if (car.stands or car.opened_at_ms is not None) and car.behaviour is Behaviour.DOOR_OPEN and car.floor is not None:
        return OpenDoor(car.floor, car.direction)
    return car.inherited


def public(car: Drive) -> Car:
    """Return what the group may know of *car*. One that has yet to decide at its floor can still stop there."""
    behaviour = Behaviour.IDLE if car.undecided else car.behaviour
    return Car(car.floor or 0, car.direction, behaviour, car.fault)
