"""One simulated elevator, a shaft and a panel, as the elevator server's 4-byte messages show it: pure.

Rules:
- Whatever is asked is answered: a button or floor that does not exist is not pressed, and a write to it is counted and
  ignored. The same goes for "reload" (command 0), which would move the car, and for bytes that are no command.
- Programs that ask for all three buttons of every floor are right to: asking for, or darkening, hall up at the top and
  hall down at the bottom is no mistake. Lighting them is.
- What a sound controller never does is obeyed all the same, as the real one would, and counted in `Counts`.
- The machine is always settled, that is up to date with its own shaft and its own presses, before anything else happens
  to it; so an event's time is exact however late the caller comes.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from attrs import evolve, frozen

from elevator.building import shaft as physics
from elevator.building.shaft import Shaft
from elevator.core.call_set import mask
from elevator.core.model import Button, Buttons, Motor
from elevator.hardware.server_side import MESSAGE


class EventKind(StrEnum):
    """What an event is about."""

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
    """Something that changed at *at_ms*; *button* and *floor* are given for presses and lamps."""

    at_ms: int
    kind: EventKind
    value: bool | int | str | None
    button: Button | None = None
    floor: int | None = None


class ButtonPress(NamedTuple):
    """A button pressed until *until_ms*, None if it is held down."""

    button: Button
    floor: int
    until_ms: int | None


@frozen
class Counters:
    """What the machine's controller did that it should not have done, since the start."""

    motor_with_door_open: int = 0
    door_with_motor_on: int = 0
    door_between_floors: int = 0
    out_of_bounds: int = 0
    reloads: int = 0
    bad_requests: int = 0


@frozen
class Machine:
    """A car in its shaft and its panel."""

    shaft: Shaft
    presses: tuple[ButtonPress, ...] = ()
    """At most one for each button of each floor."""
    lamps: Buttons = Buttons()
    door: bool = False
    indicator: int | None = None
    stop: bool = False
    stop_until_ms: int | None = None
    """When a stop button that is down comes up by itself; None if it is held, or up."""
    stop_lamp: bool = False
    obstructed: bool = False
    sensed: int | None = None
    """The sensor as of the last settling."""
    out: bool = False
    """Out of bounds as of the last settling."""
    counts: Counters = Counters()
    last_bad: str = ""
    """The latest bad request in words."""


def machine(shaft: Shaft) -> Machine:
    """Return a machine with nothing lit and nothing pressed around *shaft*."""
    now = shaft.since_ms
    return Machine(shaft, sensed=physics.sensor(shaft, now), out=physics.is_out(shaft, now))


def misbehaviour(counts: Counters) -> int:
    """Return how often the controller endangered passengers or the car; mere mistakes of the protocol left out."""
    return counts.motor_with_door_open + counts.door_with_motor_on + counts.door_between_floors + counts.out_of_bounds


def buttons(floors: int) -> Buttons:
    """Return the buttons that a panel of *floors* floors has."""
    every = (1 << floors) - 1
    return Buttons(every >> 1, every & ~1, every)


def floors_of(bits: int) -> list[int]:
    """Return the floors in a bit mask, lowest first."""
    return [floor for floor in range(bits.bit_length()) if bits >> floor & 1]


def pressed(machine: Machine) -> Buttons:
    """Return the buttons that are down, as of the last settling."""
    masks = [0, 0, 0]
    for press in machine.presses:
        masks[press.button] |= 1 << press.floor
    return Buttons(*masks)


# What happens to a machine


def wake_at_ms(machine: Machine) -> int | None:
    """Return when the machine next changes by itself, None if it never will."""
    times = [press.until_ms for press in machine.presses if press.until_ms is not None]
    if machine.stop_until_ms is not None:
        times.append(machine.stop_until_ms)
    if (change := physics.next_change_ms(machine.shaft)) is not None:
        times.append(change)
    return min(times, default=None)


def settle(machine: Machine, now_ms: int) -> tuple[Machine, tuple[Event, ...]]:
    """Bring *machine* up to *now_ms*: sensors passed, presses ended, ends overrun."""
    events: list[Event] = []
    while (wake := wake_at_ms(machine)) is not None and wake <= now_ms:
        later = _at(machine, wake)
        events += changes(machine, later, wake)
        machine = later
    return machine, tuple(events)


def _at(machine: Machine, now_ms: int) -> Machine:
    """Return *machine* at *now_ms*, with no change of its own between its last settling and then."""
    shaft = physics.at(machine.shaft, now_ms)
    out = physics.is_out(shaft, now_ms)
    counts = machine.counts
    if out and not machine.out:
        counts = evolve(counts, out_of_bounds=counts.out_of_bounds + 1)
    presses = tuple(press for press in machine.presses if press.until_ms is None or press.until_ms > now_ms)
    machine = evolve(
        machine, shaft=shaft, sensed=physics.sensor(shaft, now_ms), out=out, counts=counts, presses=presses
    )
    if machine.stop_until_ms is not None and machine.stop_until_ms <= now_ms:
        machine = hold_stop(machine, False)
    return machine


def press(machine: Machine, button: Button, floor: int, until_ms: int | None) -> Machine:
    """Press a button until *until_ms*, or hold it down; a press already there lasts for the longer of the two."""
    assert mask(buttons(machine.shaft.floors), button) >> floor & 1
    others = tuple(each for each in machine.presses if each[:2] != (button, floor))
    ends = [until_ms, *(each.until_ms for each in machine.presses if each[:2] == (button, floor))]
    longest = None if None in ends else max(end for end in ends if end is not None)
    return evolve(machine, presses=(*others, ButtonPress(button, floor, longest)))


def release(machine: Machine, button: Button, floor: int) -> Machine:
    """Let go of a button, pressed or not."""
    return evolve(machine, presses=tuple(each for each in machine.presses if each[:2] != (button, floor)))


def press_stop(machine: Machine, until_ms: int) -> Machine:
    """Press the stop button until *until_ms*; one that is held stays held."""
    return machine if machine.stop else evolve(machine, stop=True, stop_until_ms=until_ms)


def hold_stop(machine: Machine, held: bool) -> Machine:
    """Hold the stop button down, or let go of it."""
    return evolve(machine, stop=held, stop_until_ms=None)


def power(machine: Machine, powered: bool, now_ms: int) -> Machine:
    """Switch the motor's power."""
    return _at(evolve(machine, shaft=physics.power(machine.shaft, powered, now_ms)), now_ms)


def put(machine: Machine, floor: float, now_ms: int) -> Machine:
    """Set the car down at a height of *floor* floors, 0 to floors - 1; one out of bounds is put back first."""
    return _at(evolve(machine, shaft=physics.put(physics.put_back(machine.shaft, now_ms), floor, now_ms)), now_ms)


def put_back(machine: Machine, now_ms: int) -> Machine:
    """Bring a car that is out of bounds to the nearest floor, stopped."""
    return _at(evolve(machine, shaft=physics.put_back(machine.shaft, now_ms)), now_ms)


def disconnect(machine: Machine, now_ms: int) -> Machine:
    """Stop the motor because the client has gone; lamps and door stay as they are."""
    return _at(evolve(machine, shaft=physics.command(machine.shaft, Motor.STOP, now_ms)), now_ms)


def drop_incomplete(machine: Machine, length: int, now_ms: int) -> tuple[Machine, Event]:
    """Count a message of which only *length* bytes arrived."""
    return _reject(machine, [f"dropped {length} of the {MESSAGE} bytes of a message"], now_ms)


def _reject(machine: Machine, bad: Sequence[str], now_ms: int) -> tuple[Machine, Event]:
    """Count *bad* requests; return the event for the last of them too."""
    counts = evolve(machine.counts, bad_requests=machine.counts.bad_requests + len(bad))
    return evolve(machine, counts=counts, last_bad=bad[-1]), Event(now_ms, EventKind.BAD, bad[-1])


# Events are derived from two machines, not noted along the way, so none can be forgotten


def changes(old: Machine, new: Machine, now_ms: int) -> list[Event]:
    """Return what differs in *new* from *old*, all of it at *now_ms*."""
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
    """Say in words what an *event* is."""
    what = "" if event.button is None else f" {event.button.name.lower()} {event.floor}"
    match event.kind:
        case EventKind.PRESS | EventKind.RELEASE:
            return f"{event.kind}{what}"
        case EventKind.MOTOR:
            return f"motor {Motor(int(event.value or 0)).name.lower()}"
        case EventKind.DOOR:
            return f"door {'opens' if event.value else 'shuts'}"
        case EventKind.SENSOR:
            return "leaves its floor" if event.value is None else f"at floor {event.value}"
        case _:
            value = event.value
            return f"{event.kind}{what} {('off', 'on')[value] if isinstance(value, bool) else value}"


def _differences(old: Buttons, new: Buttons) -> Iterator[tuple[Button, int, bool]]:
    for button in Button:
        was, now_on = mask(old, button), mask(new, button)
        for floor in floors_of(was ^ now_on):
            yield button, floor, bool(now_on >> floor & 1)


def _counted(old: Counters, new: Counters) -> Iterator[tuple[EventKind, str]]:
    if old.motor_with_door_open != new.motor_with_door_open:
        yield EventKind.MISBEHAVIOUR, "motor with door open"
    if old.door_with_motor_on != new.door_with_motor_on:
        yield EventKind.MISBEHAVIOUR, "door with motor on"
    if old.door_between_floors != new.door_between_floors:
        yield EventKind.MISBEHAVIOUR, "door between floors"
    if old.out_of_bounds != new.out_of_bounds:
        yield EventKind.MISBEHAVIOUR, "out of bounds"
    if old.reloads != new.reloads:
        yield EventKind.RELOAD, "reload ignored"
