"""Simulated elevators: a car in its shaft, its panel, and the events that report changes. Pure functions.

Rules:
- Unsafe commands, such as opening the door between floors, are executed as by real hardware. `Counters` counts them.
- Bad requests change only `bad_requests` and `last_bad`: see protocol.py.
- Before changing an elevator, the caller must `settle` it: advance it to the current time. Then the time of each event
  is exact even if the caller is late.
- `changes` derives events by comparing two states of an elevator, so no code path can forget to report a change.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from elevator.building import shaft as physics
from elevator.building.shaft import Shaft
from elevator.core.call_set import mask
from elevator.core.evolve import evolve, frozen
from elevator.core.model import Button, Buttons, Motor, bits
from elevator.hardware.server_side import MESSAGE_BYTES


class EventKind(StrEnum):
    PRESS = "press"
    RELEASE = "release"
    LAMP = "lamp"
    DOOR = "door"
    MOTOR = "motor"
    INDICATOR = "indicator"
    STOP_LAMP = "stop lamp"
    SENSOR = "sensor"
    STOP = "stop"
    OBSTRUCTED = "obstructed"
    POWER = "power"
    OUT_OF_BOUNDS = "out of bounds"
    MISBEHAVIOUR = "misbehaviour"
    RELOAD = "reload"
    BAD = "bad"
    CLIENT = "client"
    SERVER = "server"


class Event(NamedTuple):
    """A change of an elevator, of its server or connection, or of its `Counters`.

    Only presses, releases and lamps have a `button` and a `floor`.
    """

    at_ms: int
    kind: EventKind
    value: bool | int | str | None
    button: Button | None = None
    floor: int | None = None


class ButtonPress(NamedTuple):
    """A button that is down. It goes up at `until_ms` (None: never), or earlier if it is released."""

    button: Button
    floor: int
    until_ms: int | None


@frozen
class Counters:
    """How often the controller sent an unsafe command, asked for a reload or sent a bad request.

    Also how often the car went out of bounds.
    """

    motor_with_door_open: int = 0
    door_with_motor_on: int = 0
    door_between_floors: int = 0
    out_of_bounds: int = 0
    reloads: int = 0
    bad_requests: int = 0


@frozen
class SimulatedElevator:
    """The state of one simulated elevator: shaft, car and panel."""

    shaft: Shaft
    presses: tuple[ButtonPress, ...] = ()
    """One entry for each button that is down."""
    lamps: Buttons = Buttons()
    door: bool = False
    indicator: int | None = None
    stop: bool = False
    stop_until_ms: int | None = None
    """When a press of the stop button ends; None if the button is up or held (see `hold_stop`)."""
    stop_lamp: bool = False
    obstructed: bool = False
    sensed: int | None = None
    """The floor whose sensor was active at the last `settle`, `put` or `put_back`; None between floors and out of
    bounds."""
    out: bool = False
    """True if the car was out of bounds when `sensed` was last updated."""
    counts: Counters = Counters()
    last_bad: str = ""
    """Description of the last bad request; empty if there was none."""


def new_elevator(shaft: Shaft) -> SimulatedElevator:
    """Return an elevator in *shaft* with all lamps off and no button pressed."""
    now = shaft.since_ms
    return SimulatedElevator(shaft, sensed=physics.sensor(shaft, now), out=physics.is_out(shaft, now))


def misbehaviour(counts: Counters) -> int:
    """Return how many unsafe commands the controller has sent, plus how often the car went out of bounds."""
    return counts.motor_with_door_open + counts.door_with_motor_on + counts.door_between_floors + counts.out_of_bounds


def buttons(floors: int) -> Buttons:
    """Return the buttons that exist on a panel with *floors* floors."""
    every = (1 << floors) - 1
    return Buttons(every >> 1, every & ~1, every)


def pressed(elevator: SimulatedElevator) -> Buttons:
    """Return the buttons that are down. A press that has ended still counts until the next `settle`."""
    masks = [0, 0, 0]
    for press in elevator.presses:
        masks[press.button] |= 1 << press.floor
    return Buttons(*masks)


def wake_at_ms(elevator: SimulatedElevator) -> int | None:
    """Return when the elevator next changes without external input; None if never."""
    times = [press.until_ms for press in elevator.presses if press.until_ms is not None]
    if elevator.stop_until_ms is not None:
        times.append(elevator.stop_until_ms)
    if (change := physics.next_change_ms(elevator.shaft)) is not None:
        times.append(change)
    return min(times, default=None)


def settle(elevator: SimulatedElevator, now_ms: int) -> tuple[SimulatedElevator, tuple[Event, ...]]:
    """Apply all changes of the floor sensor and ends of presses that are due by *now_ms*.

    Return the new elevator and the events.
    """
    events: list[Event] = []
    while (wake := wake_at_ms(elevator)) is not None and wake <= now_ms:
        later = _at(elevator, wake)
        events += changes(elevator, later, wake)
        elevator = later
    return elevator, tuple(events)


def _at(elevator: SimulatedElevator, now_ms: int) -> SimulatedElevator:
    """Return *elevator* advanced to *now_ms*. No change may be due before *now_ms*."""
    shaft = physics.at(elevator.shaft, now_ms)
    out = physics.is_out(shaft, now_ms)
    counts = elevator.counts
    if out and not elevator.out:
        counts = evolve(counts, out_of_bounds=counts.out_of_bounds + 1)
    presses = tuple(press for press in elevator.presses if press.until_ms is None or press.until_ms > now_ms)
    elevator = evolve(
        elevator, shaft=shaft, sensed=physics.sensor(shaft, now_ms), out=out, counts=counts, presses=presses
    )
    if elevator.stop_until_ms is not None and elevator.stop_until_ms <= now_ms:
        elevator = hold_stop(elevator, False)
    return elevator


def press(elevator: SimulatedElevator, button: Button, floor: int, until_ms: int | None) -> SimulatedElevator:
    """Press a button until *until_ms* (None: until `release`). If the button is already down, the later end applies."""
    assert mask(buttons(elevator.shaft.floors), button) >> floor & 1
    others = tuple(each for each in elevator.presses if each[:2] != (button, floor))
    ends = [until_ms, *(each.until_ms for each in elevator.presses if each[:2] == (button, floor))]
    longest = None if None in ends else max(end for end in ends if end is not None)
    return evolve(elevator, presses=(*others, ButtonPress(button, floor, longest)))


def release(elevator: SimulatedElevator, button: Button, floor: int) -> SimulatedElevator:
    """Release a button, even if it is held."""
    return evolve(elevator, presses=tuple(each for each in elevator.presses if each[:2] != (button, floor)))


def press_stop(elevator: SimulatedElevator, until_ms: int) -> SimulatedElevator:
    """Press the stop button until *until_ms*. Do nothing if the button is already down."""
    return elevator if elevator.stop else evolve(elevator, stop=True, stop_until_ms=until_ms)


def hold_stop(elevator: SimulatedElevator, held: bool) -> SimulatedElevator:
    return evolve(elevator, stop=held, stop_until_ms=None)


def power(elevator: SimulatedElevator, powered: bool, now_ms: int) -> SimulatedElevator:
    """Switch the motor's power on or off."""
    return _at(evolve(elevator, shaft=physics.power(elevator.shaft, powered, now_ms)), now_ms)


def put(elevator: SimulatedElevator, floor: float, now_ms: int) -> SimulatedElevator:
    """Place the car at height *floor*, from 0 to floors - 1.

    The motor keeps its command, unless the car was out of bounds: then the motor stops.
    """
    return _at(evolve(elevator, shaft=physics.put(physics.put_back(elevator.shaft, now_ms), floor, now_ms)), now_ms)


def put_back(elevator: SimulatedElevator, now_ms: int) -> SimulatedElevator:
    """If the car is out of bounds, move it to the nearest floor and stop its motor."""
    return _at(evolve(elevator, shaft=physics.put_back(elevator.shaft, now_ms)), now_ms)


def disconnect(elevator: SimulatedElevator, now_ms: int) -> SimulatedElevator:
    """Stop the motor because the client disconnected. Lamps and door do not change."""
    return _at(evolve(elevator, shaft=physics.command(elevator.shaft, Motor.STOP, now_ms)), now_ms)


def reject_incomplete(elevator: SimulatedElevator, length: int, now_ms: int) -> tuple[SimulatedElevator, Event]:
    """Count an incomplete message of *length* bytes as a bad request. Return the new elevator and the event."""
    return reject(elevator, [f"incomplete message ({length} of {MESSAGE_BYTES} bytes)"], now_ms)


def reject(elevator: SimulatedElevator, bad: Sequence[str], now_ms: int) -> tuple[SimulatedElevator, Event]:
    """Count one bad request for each description in *bad*. Return the elevator and an event for the last one."""
    counts = evolve(elevator.counts, bad_requests=elevator.counts.bad_requests + len(bad))
    return evolve(elevator, counts=counts, last_bad=bad[-1]), Event(now_ms, EventKind.BAD, bad[-1])


def changes(old: SimulatedElevator, new: SimulatedElevator, now_ms: int) -> list[Event]:
    """Return the differences between *old* and *new* as events with the time *now_ms*.

    New bad requests are not among the events, because `reject` reports them.
    """
    events = [
        Event(now_ms, kind, value)
        for kind, was, value in (
            (EventKind.STOP, old.stop, new.stop),
            (EventKind.OBSTRUCTED, old.obstructed, new.obstructed),
            (EventKind.POWER, old.shaft.powered, new.shaft.powered),
            (EventKind.MOTOR, int(old.shaft.motor), int(new.shaft.motor)),
            (EventKind.SENSOR, old.sensed, new.sensed),
            (EventKind.DOOR, old.door, new.door),
            (EventKind.INDICATOR, old.indicator, new.indicator),
            (EventKind.STOP_LAMP, old.stop_lamp, new.stop_lamp),
            (EventKind.OUT_OF_BOUNDS, old.out, new.out),
        )
        if was != value
    ]
    if old.presses != new.presses:
        for button, floor, now_on in _differences(pressed(old), pressed(new)):
            events.append(Event(now_ms, EventKind.PRESS if now_on else EventKind.RELEASE, now_on, button, floor))
    for button, floor, now_on in _differences(old.lamps, new.lamps):
        events.append(Event(now_ms, EventKind.LAMP, now_on, button, floor))
    if old.counts is not new.counts:
        events += [Event(now_ms, kind, name) for kind, name in _counted(old.counts, new.counts)]
    return events


def describe(event: Event) -> str:
    what = "" if event.button is None else f" {event.button.name.lower()} {event.floor}"
    match event.kind:
        case EventKind.PRESS | EventKind.RELEASE:
            return f"{event.kind}{what}"
        case EventKind.MOTOR:
            return f"motor {Motor(int(event.value or 0)).name.lower()}"
        case EventKind.DOOR:
            return f"door {'opens' if event.value else 'closes'}"
        case EventKind.SENSOR:
            return "leaves its floor" if event.value is None else f"at floor {event.value}"
        case _:
            value = event.value
            return f"{event.kind}{what} {('off', 'on')[value] if isinstance(value, bool) else value}"


def _differences(old: Buttons, new: Buttons) -> Iterator[tuple[Button, int, bool]]:
    for button in Button:
        was, now_on = mask(old, button), mask(new, button)
        for floor in bits(was ^ now_on):
            yield button, floor, bool(now_on >> floor & 1)


def _counted(old: Counters, new: Counters) -> Iterator[tuple[EventKind, str]]:
    for name in ("motor_with_door_open", "door_with_motor_on", "door_between_floors", "out_of_bounds"):
        if getattr(old, name) != getattr(new, name):
            yield EventKind.MISBEHAVIOUR, name.replace("_", " ")
    if old.reloads != new.reloads:
        yield EventKind.RELOAD, "reload ignored"
