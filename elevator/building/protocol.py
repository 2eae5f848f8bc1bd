"""The elevator server's protocol, as implemented by a simulated elevator. Pure functions.

Rules:
- A bad request names an unknown command, or a button or floor that does not exist. Bad writes are counted and ignored;
  bad reads are counted and answered with 0. Requests to reload the configuration (command 0) are counted separately and
  ignored, because a reload would move the car.
- The top floor has no up button, and the bottom floor has no down button. But many controllers loop over all buttons of
  all floors. So reading such a button and turning off its lamp are allowed. Only turning on its lamp is a bad request.
"""

from functools import lru_cache
from struct import iter_unpack
from typing import NamedTuple, assert_never

from elevator.building import shaft as physics
from elevator.building.elevators import Event, SimulatedElevator, buttons, changes, pressed, reject, settle
from elevator.core.call_set import mask
from elevator.core.evolve import evolve
from elevator.core.model import Button, Buttons, Inputs
from elevator.hardware.server_side import MESSAGE_BYTES, motor_direction

Message = tuple[int, ...]
"""The four bytes of a message: a command and its three arguments."""


class Answer(NamedTuple):
    """The result of executing requests: the new state of the elevator, the replies and the events."""

    elevator: SimulatedElevator
    replies: bytes
    events: tuple[Event, ...]


def answer(elevator: SimulatedElevator, requests: bytes, now_ms: int) -> Answer:
    """Execute *requests*, any number of complete messages, at *now_ms*."""
    assert len(requests) % MESSAGE_BYTES == 0
    elevator, settled = settle(elevator, now_ms)
    events = list(settled)
    floors = elevator.shaft.floors
    inputs = Inputs(pressed(elevator), elevator.sensed, elevator.stop, elevator.obstructed)
    replies, rest = _read(requests, floors, inputs)
    bad: list[str] = []
    exist = buttons(floors)
    for message in rest:
        written = _write(elevator, exist, message, now_ms)
        if isinstance(written, str):
            bad.append(written)
        else:
            events += changes(elevator, written, now_ms)
            elevator = written
    if bad:
        # One event for all bad requests, so that a client that sends garbage cannot flood the history.
        elevator, event = reject(elevator, bad, now_ms)
        events.append(event)
    return Answer(elevator, replies, tuple(events))


@lru_cache(maxsize=256)
def _read(requests: bytes, floors: int, inputs: Inputs) -> tuple[bytes, tuple[Message, ...]]:
    """Return the replies to all reads in *requests*, and the messages for `_write`: all that are not valid reads.

    Clients read all inputs many times per second, so the results are cached.
    """
    replies, rest = [], []
    down = (inputs.pressed.up, inputs.pressed.down, inputs.pressed.cab)
    for message in iter_unpack("4B", requests):
        operation, first, second, _ = message
        match operation:
            case 6:
                is_known = first <= Button.CAB and second < floors
                replies.append((6, is_known and down[first] >> second & 1, 0, 0))
                if not is_known:
                    rest.append(message)
            case 7:
                replies.append((7, inputs.floor is not None, inputs.floor or 0, 0))
            case 8:
                replies.append((8, inputs.stop, 0, 0))
            case 9:
                replies.append((9, inputs.obstructed, 0, 0))
            case _:
                rest.append(message)
    return b"".join(map(bytes, replies)), tuple(rest)


def _write(elevator: SimulatedElevator, exist: Buttons, message: Message, now_ms: int) -> SimulatedElevator | str:
    """Execute a *message* that is not a valid read. Return the new elevator, or a description if the message is bad."""
    operation, first, second, third = message
    counts = elevator.counts
    match operation:
        case 0:
            return evolve(elevator, counts=evolve(counts, reloads=counts.reloads + 1))
        case 1:
            motor = motor_direction(first)
            if motor and elevator.door:
                counts = evolve(counts, motor_with_door_open=counts.motor_with_door_open + 1)
            return evolve(elevator, shaft=physics.command(elevator.shaft, motor, now_ms), counts=counts)
        case 2:
            if first > Button.CAB or second >= elevator.shaft.floors:
                return f"lamp {first} at floor {second}"
            lamps = _lit(elevator.lamps, Button(first), second, bool(third))
            if third and not mask(exist, Button(first)) >> second & 1:
                return f"lamp {first} at floor {second}"
            return evolve(elevator, lamps=lamps)
        case 3:
            if first >= elevator.shaft.floors:
                return f"floor indicator {first}"
            return evolve(elevator, indicator=first)
        case 4:
            if first and elevator.shaft.motor:
                counts = evolve(counts, door_with_motor_on=counts.door_with_motor_on + 1)
            elif first and elevator.sensed is None:
                counts = evolve(counts, door_between_floors=counts.door_between_floors + 1)
            return evolve(elevator, door=bool(first), counts=counts)
        case 5:
            return evolve(elevator, stop_lamp=bool(first))
        case 6:
            return f"read of button {first} at floor {second}"
        case _:
            return f"command {operation}"


def _lit(lamps: Buttons, button: Button, floor: int, on: bool) -> Buttons:
    """Return *lamps* with one lamp turned on or off."""
    bits = mask(lamps, button)
    bits = bits | 1 << floor if on else bits & ~(1 << floor)
    match button:
        case Button.UP:
            return evolve(lamps, up=bits)
        case Button.DOWN:
            return evolve(lamps, down=bits)
        case Button.CAB:
            return evolve(lamps, cab=bits)
        case _:
            assert_never(button)
