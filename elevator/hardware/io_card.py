"""The bytes of the lab's Arduino I/O card, which is behind the lab's elevator server: pure.

1. A byte is an operation in its top two bits and a pin in the low six. Only reads are answered, by one byte that does
   not say which read it answers.
2. A sweep begins and ends with a read of the card's identity. So each snapshot proves again that this is the card and
   that no reply was lost or added: the first byte in between can never be that, as no car is at two floors.
3. A motor that turns the other way stands in between, and its direction is set before its speed.
4. Other programs may write to the port: ModemManager sends "AT" and a carriage return, which is 13. That starts a PWM
   write, and the card takes the next byte as the motor's speed. So each message begins with PAD, which does nothing as
   a command and stops the motor as a speed.
5. Foreign bytes can also change outputs and leave the replies intact. So each sweep repeats the motor command, the door
   and one of the lamps in turn. A foreign write to motor or door lasts for one sweep, one to a lamp for thirteen.
"""

from attrs import frozen

from elevator.core.model import EVERY_BUTTON, Button, Buttons, Inputs, Motor, Outputs
from elevator.hardware.panel_client import Confirmed
from elevator.hardware.panel_outputs import lamp_changes, needs_door_command

FLOORS = 4
BAUD = 115_200
SPEED = 255
"""Of the motor, 1..255, unless told otherwise: what the lab's elevator server writes for a command without a speed."""

LOW, HIGH, READ, WIDE = 0x00, 0x40, 0x80, 0xC0
"""Operations. A wide read is of eight pins from the one named on, the first in bit 0."""
PWM_PIN, DIRECTION_PIN, TACHOMETER_PIN, IDENTITY_PIN = 13, 36, 62, 63
"""A write to the PWM pin is followed by the value, 0..255. A high direction pin is down."""
IDENTITY = 0xA2
INDICATOR_PINS = (22, 23)
"""The floor indicator, its low bit first."""
DOOR_PIN, STOP_LAMP_PIN = 24, 37
LAMP_PINS = {
    (Button.UP, 0): 30,
    (Button.UP, 1): 31,
    (Button.UP, 2): 29,
    (Button.DOWN, 1): 28,
    (Button.DOWN, 2): 26,
    (Button.DOWN, 3): 27,
    (Button.CAB, 0): 34,
    (Button.CAB, 1): 35,
    (Button.CAB, 2): 32,
    (Button.CAB, 3): 33,
}
FIRST_PIN = 38
"""The first of the sixteen input pins."""
BUTTON_PINS = {
    (Button.UP, 0): 53,
    (Button.UP, 1): 52,
    (Button.UP, 2): 38,
    (Button.DOWN, 1): 39,
    (Button.DOWN, 2): 41,
    (Button.DOWN, 3): 40,
    (Button.CAB, 0): 49,
    (Button.CAB, 1): 48,
    (Button.CAB, 2): 51,
    (Button.CAB, 3): 50,
}
SENSOR_PINS = (43, 42, 45, 44)
"""By floor."""
STOP_PIN, OBSTRUCTION_PIN = 46, 47

PAD = bytes((LOW,))
"""Pin 0 low. Nothing is connected to it: the lab's elevator server writes it for lamps that do not exist."""
READ_IDENTITY = bytes((WIDE + IDENTITY_PIN,))
"""Asks for the card's identity."""
SWEEP = READ_IDENTITY + bytes((WIDE + FIRST_PIN, WIDE + FIRST_PIN + 8)) + READ_IDENTITY
"""Asks for everything but the tachometer, which only serve-card reads."""
READ_TACHOMETER = bytes((WIDE + TACHOMETER_PIN,))
HALT = PAD + bytes((LOW + PWM_PIN, 0))
"""Stops the motor, also if the card is waiting for the value of a PWM write."""


def snapshot(reply: bytes, door: bool = False, still: bool = False) -> Inputs | None:
    """Read the *reply* to a sweep, which confirms an open *door* and a *still* motor; None if it is malformed."""
    if len(reply) != len(SWEEP) or reply[0] != IDENTITY or reply[-1] != IDENTITY:
        return None
    pins = int.from_bytes(reply[1:-1], "little") << FIRST_PIN
    at_floors = [floor for floor, pin in enumerate(SENSOR_PINS) if pins >> pin & 1]
    if len(at_floors) > 1:
        return None  # no car is at two floors
    masks = [0, 0, 0]
    for (button, floor), pin in BUTTON_PINS.items():
        masks[button] |= (pins >> pin & 1) << floor
    floor_now = at_floors[0] if at_floors else None
    stop, obstructed = pins >> STOP_PIN & 1, pins >> OBSTRUCTION_PIN & 1
    return Inputs(Buttons(*masks), floor_now, bool(stop), bool(obstructed), door, still)


def changes(sent: Outputs | None, wanted: Outputs, speed: int) -> bytes:
    """Return the bytes that bring a card from *sent* to *wanted*; *sent* None: nothing is known of it.

    The door is shut before the motor starts and the motor stopped before the door opens. *speed* is 1..255.
    """
    old = sent or Outputs(motor_try=wanted.motor_try, unsure=EVERY_BUTTON)
    door = level(DOOR_PIN, bool(wanted.door)) if needs_door_command(sent, wanted) else b""
    moved = sent and (old.motor, old.motor_try) == (wanted.motor, wanted.motor_try)
    motor = b"" if moved else run(wanted.motor, speed)
    parts = [motor, door] if wanted.motor is Motor.STOP else [door, motor]
    parts += [level(LAMP_PINS[button, floor], on) for button, floor, on in lamp_changes(old, wanted, FLOORS)]
    if wanted.floor is not None and wanted.floor != old.floor:
        parts += indicator(wanted.floor)
    if not sent or old.stop_lamp != wanted.stop_lamp:
        parts.append(level(STOP_LAMP_PIN, wanted.stop_lamp))
    message = b"".join(parts)
    return PAD + message if message else b""


def sweeps(sent: Outputs | None, speed: int, asks: bytes = SWEEP) -> tuple[bytes, ...]:
    """Return the sweeps that make the reads *asks* and repeat the outputs last *sent*, to be written in turn.

    If nothing has been sent yet they keep the motor stopped.
    """
    if sent is None:
        return (PAD + asks + bytes((LOW + PWM_PIN, 0)),)
    unknown = Outputs(unsure=EVERY_BUTTON)
    lamps = [level(LAMP_PINS[button, floor], on) for button, floor, on in lamp_changes(unknown, sent, FLOORS)]
    lamps += [] if sent.floor is None else indicator(sent.floor)
    lamps.append(level(STOP_LAMP_PIN, sent.stop_lamp))
    door = b"" if sent.door is None else level(DOOR_PIN, sent.door)
    motor = bytes((LOW + PWM_PIN, 0)) if sent.motor is Motor.STOP else go(sent.motor, speed)
    return tuple(PAD + asks + lamp + door + motor for lamp in lamps)


def run(motor: Motor, speed: int) -> bytes:
    """Return the bytes of a *motor* command: stop, set the direction, go."""
    if motor is Motor.STOP:
        return HALT
    return HALT + go(motor, speed)


def go(motor: Motor, speed: int) -> bytes:
    return level(DIRECTION_PIN, motor is Motor.DOWN) + bytes((LOW + PWM_PIN, speed))


def indicator(floor: int) -> list[bytes]:
    return [level(pin, bool(floor >> bit & 1)) for bit, pin in enumerate(INDICATOR_PINS)]


def level(pin: int, high: bool) -> bytes:
    return bytes(((HIGH if high else LOW) + pin,))


@frozen
class CardCodec:
    """These bytes for a motor of *speed* 1..255, as panel_client.py wants them."""

    speed: int
    has_tachometer: bool = False
    """Whether a sweep also reads the tachometer, before everything else."""

    @property
    def reply_size(self) -> int:
        return len(SWEEP) + self.has_tachometer

    def sweeps(self, sent: Outputs | None) -> tuple[bytes, ...]:
        return sweeps(sent, self.speed, READ_TACHOMETER + SWEEP if self.has_tachometer else SWEEP)

    def snapshot(self, reply: bytes, confirmed: Confirmed) -> Inputs | None:
        return snapshot(reply[self.has_tachometer :], *confirmed)

    def changes(self, sent: Outputs | None, wanted: Outputs) -> bytes:
        return changes(sent, wanted, self.speed)

    def tachometer(self, reply: bytes) -> int:
        """Return the tachometer's value in a *reply*; 0 if there is none."""
        return reply[0] if self.has_tachometer and reply else 0
