"""The protocol of the lab's Arduino I/O card, without I/O.

1. A command is one byte: an operation in the top two bits and a pin in the low six. Only a PWM write has a second byte,
   the speed of the motor. The card answers only reads, with one byte that does not say which read it answers.
2. Before and after the inputs, a sweep reads the card's identity. So a reply that comes from another device, or that
   has lost or gained a byte, is almost always malformed. The first byte of the inputs cannot be mistaken for the
   identity, because that value would report the car at two floors.
3. To start the motor, a message first stops it, then sets its direction, then its speed. A sweep only repeats direction
   and speed.
4. Other programs may write to the port. ModemManager sends "AT" and a carriage return. The carriage return, 13, starts
   a PWM write, so the card takes the next byte as the motor's speed. So each message begins with PAD: as a command it
   does nothing, and as a speed it stops the motor.
5. Foreign bytes may also change outputs without disturbing a reply. So each sweep repeats the last commands to the
   motor, the door and one of thirteen lamps: ten button lamps, the stop lamp and two in the floor indicator take turns.
   The next sweep undoes a foreign write to motor or door. A lamp may need thirteen sweeps, and more if an output
   changes meanwhile, because the turns then start again.
"""

from attrs import frozen

from elevator.core.model import EVERY_BUTTON, Button, Buttons, Inputs, Motor, Outputs
from elevator.hardware.panel_outputs import lamp_changes, needs_door_command

FLOORS = 4
BAUD = 115_200
SPEED = 255
"""The default motor speed, which is also the highest. The lab's elevator server uses it too."""

LOW, HIGH, READ, WIDE = 0x00, 0x40, 0x80, 0xC0
"""The operations: set a pin low, set it high, read it, or read eight pins (a wide read). Bit 0 of the reply to a wide
read is the pin in the command, bit 1 the next pin, and so on."""
PWM_PIN, DIRECTION_PIN, TACHOMETER_PIN, IDENTITY_PIN = 13, 36, 62, 63
"""LOW + PWM_PIN is followed by the motor's speed, 0..255. A high direction pin means down. A wide read of
TACHOMETER_PIN returns the tachometer value instead of pins, and one of IDENTITY_PIN returns IDENTITY."""
IDENTITY = 0xA2
INDICATOR_PINS = (22, 23)
"""The pins of the floor indicator, low bit first."""
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
"""The pins of the floor sensors, from the lowest floor up."""
STOP_PIN, OBSTRUCTION_PIN = 46, 47

PAD = bytes((LOW,))
"""Sets pin 0 low. Nothing is connected to this pin; the lab's elevator server sets it for lamps that do not exist."""
READ_IDENTITY = bytes((WIDE + IDENTITY_PIN,))
SWEEP = READ_IDENTITY + bytes((WIDE + FIRST_PIN, WIDE + FIRST_PIN + 8)) + READ_IDENTITY
"""The reads of a sweep: all inputs except the tachometer, between two reads of the identity. Only serve-card reads the
tachometer too."""
READ_TACHOMETER = bytes((WIDE + TACHOMETER_PIN,))
HALT = PAD + bytes((LOW + PWM_PIN, 0))
"""Stops the motor, even if the card is waiting for the second byte of a PWM write."""


def snapshot(reply: bytes) -> Inputs | None:
    """Decode the *reply* to SWEEP; return None if it is malformed or reports the car at two floors."""
    if len(reply) != len(SWEEP) or reply[0] != IDENTITY or reply[-1] != IDENTITY:
        return None
    pins = int.from_bytes(reply[1:-1], "little") << FIRST_PIN
    at_floors = [floor for floor, pin in enumerate(SENSOR_PINS) if pins >> pin & 1]
    if len(at_floors) > 1:
        return None
    masks = [0, 0, 0]
    for (button, floor), pin in BUTTON_PINS.items():
        masks[button] |= (pins >> pin & 1) << floor
    floor_now = at_floors[0] if at_floors else None
    stop, obstructed = pins >> STOP_PIN & 1, pins >> OBSTRUCTION_PIN & 1
    return Inputs(Buttons(*masks), floor_now, bool(stop), bool(obstructed))


def changes(sent: Outputs | None, wanted: Outputs, speed: int) -> bytes:
    """Return the bytes that change a card from *sent* (None if unknown) to *wanted*; empty if nothing must change.

    The door closes before the motor starts, and the motor stops before the door opens. The motor runs at *speed*,
    1..255.
    """
    old = sent or Outputs(motor_try=wanted.motor_try, unsure=EVERY_BUTTON)
    door = set_pin(DOOR_PIN, bool(wanted.door)) if needs_door_command(sent, wanted) else b""
    is_same = sent and (old.motor, old.motor_try) == (wanted.motor, wanted.motor_try)
    motor = b"" if is_same else motor_command(wanted.motor, speed)
    parts = [motor, door] if wanted.motor is Motor.STOP else [door, motor]
    parts += [set_pin(LAMP_PINS[button, floor], on) for button, floor, on in lamp_changes(old, wanted, FLOORS)]
    if wanted.floor is not None and wanted.floor != old.floor:
        parts += set_indicator(wanted.floor)
    if not sent or old.stop_lamp != wanted.stop_lamp:
        parts.append(set_pin(STOP_LAMP_PIN, wanted.stop_lamp))
    message = b"".join(parts)
    return PAD + message if message else b""


def sweeps(sent: Outputs | None, speed: int, reads: bytes = SWEEP) -> tuple[bytes, ...]:
    """Return the sweeps to write in rotation. Each contains the commands *reads* and repeats some outputs of *sent*.

    If *sent* is None, the outputs are unknown. Then there is only one sweep, which also stops the motor.
    """
    if sent is None:
        return (PAD + reads + bytes((LOW + PWM_PIN, 0)),)
    unknown = Outputs(unsure=EVERY_BUTTON)
    lamps = [set_pin(LAMP_PINS[button, floor], on) for button, floor, on in lamp_changes(unknown, sent, FLOORS)]
    lamps += [] if sent.floor is None else set_indicator(sent.floor)
    lamps.append(set_pin(STOP_LAMP_PIN, sent.stop_lamp))
    door = b"" if sent.door is None else set_pin(DOOR_PIN, sent.door)
    motor = bytes((LOW + PWM_PIN, 0)) if sent.motor is Motor.STOP else start_motor(sent.motor, speed)
    return tuple(PAD + reads + lamp + door + motor for lamp in lamps)


def motor_command(motor: Motor, speed: int) -> bytes:
    """Return the bytes for the command *motor*. They always stop the motor first. *speed* is 1..255."""
    if motor is Motor.STOP:
        return HALT
    return HALT + start_motor(motor, speed)


def start_motor(motor: Motor, speed: int) -> bytes:
    return set_pin(DIRECTION_PIN, motor is Motor.DOWN) + bytes((LOW + PWM_PIN, speed))


def set_indicator(floor: int) -> list[bytes]:
    return [set_pin(pin, bool(floor >> bit & 1)) for bit, pin in enumerate(INDICATOR_PINS)]


def set_pin(pin: int, high: bool) -> bytes:
    return bytes(((HIGH if high else LOW) + pin,))


@frozen
class CardCodec:
    """The codec of the card for panel_client.py. The motor runs at `speed`, 1..255."""

    speed: int
    has_tachometer: bool = False
    """True if each sweep first reads the tachometer."""

    @property
    def reply_size(self) -> int:
        return len(SWEEP) + self.has_tachometer

    def sweeps(self, sent: Outputs | None) -> tuple[bytes, ...]:
        return sweeps(sent, self.speed, READ_TACHOMETER + SWEEP if self.has_tachometer else SWEEP)

    def snapshot(self, reply: bytes) -> Inputs | None:
        return snapshot(reply[self.has_tachometer :])

    def changes(self, sent: Outputs | None, wanted: Outputs) -> bytes:
        return changes(sent, wanted, self.speed)

    def tachometer(self, reply: bytes) -> int:
        """Return the tachometer value in a *reply*, 0..255; 0 if the reply has none."""
        return reply[0] if self.has_tachometer and reply else 0
