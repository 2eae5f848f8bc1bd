"""The lab's I/O card for a simulated elevator, on a pseudo-terminal at the speed of the real serial line.

Rules:
- `apply_byte` processes one byte without I/O. It translates pin writes into the elevator server's messages, so the
  card and the server act on the same panel and the same counters.
- The line is full duplex, and each byte takes BYTE_US. The card processes a byte once it has arrived.
- A serial line does not report a disconnect, so the card keeps the last command when the controller closes the port.
- Unplugging closes the pseudo-terminal. Plugging in opens a new one, whose name may differ.
"""

import fcntl
import os
import pty
import selectors
import termios
import tty
from collections import deque
from contextlib import suppress
from pathlib import Path

from attrs import evolve, frozen

from elevator.building import elevators, protocol
from elevator.building.building import Building
from elevator.building.elevators import SimulatedElevator
from elevator.core.call_set import mask
from elevator.hardware.io_card import (
    BAUD,
    BUTTON_PINS,
    DIRECTION_PIN,
    DOOR_PIN,
    FIRST_PIN,
    HIGH,
    IDENTITY,
    IDENTITY_PIN,
    INDICATOR_PINS,
    LAMP_PINS,
    LOW,
    OBSTRUCTION_PIN,
    PWM_PIN,
    READ,
    SENSOR_PINS,
    STOP_LAMP_PIN,
    STOP_PIN,
)
from elevator.hardware.server_side import MESSAGE_BYTES

BYTE_US = 10 * 1_000_000 / BAUD
"""Transmission time of one byte: a start bit, eight data bits and a stop bit."""
FULL_SPEED = 255
LAMPS = {pin: lamp for lamp, pin in LAMP_PINS.items()}
RELEASE_US = 500_000
"""A controller that sends no byte for this long is assumed to have closed the port."""


@frozen
class Card:
    """The state of the simulated card that `apply_byte` needs besides the `SimulatedElevator`."""

    speed: int = 0
    """PWM value of the motor, 0..255. The simulated car moves equally fast at any value except 0."""
    down: bool = False
    indicator: int = 0
    awaits_speed: bool = False
    """True if the next byte is the value of a PWM write."""


def apply_byte(
    card: Card, elevator: SimulatedElevator, byte: int, now_ms: int
) -> tuple[Card, SimulatedElevator, bytes]:
    """Process one *byte* from the controller. Return the new card and elevator, and the reply, which may be empty.

    *elevator* must be settled at *now_ms*.
    """
    operation, pin = byte & 0xC0, byte & 0x3F
    if card.awaits_speed:
        card = evolve(card, speed=byte, awaits_speed=False)
        message = motor_message(card)
    elif operation == LOW and pin == PWM_PIN:
        return evolve(card, awaits_speed=True), elevator, b""
    elif operation in (LOW, HIGH):
        card, message = write_pin(card, pin, operation == HIGH)
    elif operation == READ:
        return card, elevator, bytes((input_levels(elevator) >> pin & 1,))
    else:
        return card, elevator, bytes((IDENTITY if pin == IDENTITY_PIN else input_levels(elevator) >> pin & 0xFF,))
    if message:
        elevator = protocol.answer(elevator, bytes(message).ljust(MESSAGE_BYTES, b"\0"), now_ms).elevator
    return card, elevator, b""


def write_pin(card: Card, pin: int, high: bool) -> tuple[Card, tuple[int, ...]]:
    """Set the level of *pin*. Return the new card and the equivalent server message.

    The message has no padding. It is empty if *pin* is not a connected output, and for the direction pin while the
    motor is stopped.
    """
    if pin in LAMPS:
        return card, (2, *LAMPS[pin], high)
    if pin in INDICATOR_PINS:
        bit = 1 << INDICATOR_PINS.index(pin)
        card = evolve(card, indicator=card.indicator | bit if high else card.indicator & ~bit)
        return card, (3, card.indicator)
    if pin in (DOOR_PIN, STOP_LAMP_PIN):
        return card, (4 if pin == DOOR_PIN else 5, high)
    if pin == DIRECTION_PIN:
        card = evolve(card, down=high)
        return card, motor_message(card) if card.speed else ()
    if pin == PWM_PIN:  # A constantly high PWM pin means full speed.
        card = evolve(card, speed=FULL_SPEED)
        return card, motor_message(card)
    return card, ()  # Not a connected output.


def motor_message(card: Card) -> tuple[int, ...]:
    """Return the server message, without padding, that has the same effect as the motor pins of *card*."""
    return 1, 0 if not card.speed else 255 if card.down else 1


def input_levels(elevator: SimulatedElevator) -> int:
    """Return the levels of the input pins: bit n is pin n."""
    pressed = elevators.pressed(elevator)
    pins = sum((mask(pressed, button) >> floor & 1) << pin for (button, floor), pin in BUTTON_PINS.items())
    if elevator.sensed is not None:
        pins |= 1 << SENSOR_PINS[elevator.sensed]
    assert pins % (1 << FIRST_PIN) == 0
    return pins | elevator.stop << STOP_PIN | elevator.obstructed << OBSTRUCTION_PIN


class CardLine:
    """The I/O card of *car* in *building*, on a pseudo-terminal."""

    def __init__(self, building: Building, car: int, link: Path | None = None) -> None:
        """Add the card to *building* and plug it in; raise OSError if that fails.

        *link* is the path of a symbolic link that points to the pseudo-terminal while the card is plugged in; None: no
        link.
        """
        self.card = Card()
        self.path = ""
        """Path of the pseudo-terminal; empty while the card is unplugged."""
        self._building, self._car, self._link = building, car, link
        self._master = self._slave = -1
        self._to_card: deque[tuple[float, int]] = deque()
        """Bytes on their way to the card, as pairs of arrival time (microseconds) and byte."""
        self._to_host: deque[tuple[float, int]] = deque()
        self._release_at_us: float | None = None
        """When to end the controller's exclusive use of the port; None if not scheduled."""
        building.cards[car] = self
        self.plug()

    def plug(self) -> None:
        """Plug in the card if it is unplugged. Raise OSError if the pseudo-terminal or the link cannot be created."""
        if self.path:
            return
        master, slave = pty.openpty()
        path = os.ttyname(slave)
        try:
            tty.setraw(slave)
            if self._link is not None:
                new_link = self._link.with_name(f"{self._link.name}.new")
                new_link.symlink_to(path)
                new_link.replace(self._link)
        except OSError:
            os.close(slave)
            os.close(master)
            raise
        os.set_blocking(master, False)
        self._master, self._slave, self.path = master, slave, path
        self._building.watch(master, selectors.EVENT_READ, lambda _: self._receive())

    def unplug(self) -> None:
        """Unplug the serial cable. The card keeps its power and its outputs."""
        if not self.path:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._building.watch(self._master, 0, lambda _: None)
        os.close(self._slave)
        os.close(self._master)
        self.path = ""
        self._to_card.clear()
        self._to_host.clear()
        self._release_at_us = None

    def wake_at_us(self) -> float | None:
        """Return when `advance` must run next; None if nothing is scheduled."""
        times = [queue[0][0] for queue in (self._to_card, self._to_host) if queue]
        times += [] if self._release_at_us is None else [self._release_at_us]
        return min(times, default=None)

    def advance(self, now_us: int) -> None:
        """Process all bytes that have arrived by *now_us*, in both directions.

        Also end the controller's exclusive use of the port if that is due.
        """
        old = elevator = self._building.servers[self._car].elevator
        while self._to_card and self._to_card[0][0] <= now_us:
            arrived_at_us, byte = self._to_card.popleft()
            self.card, elevator, reply = apply_byte(self.card, elevator, byte, now_us // 1000)
            for each in reply:
                self._to_host.append((self._free_at_us(self._to_host, arrived_at_us) + BYTE_US, each))
        if elevator is not old:
            self._building.change(self._car, elevator, now_us)
        ready = bytearray()
        while self._to_host and self._to_host[0][0] <= now_us:
            ready.append(self._to_host.popleft()[1])
        if self._release_at_us is not None and now_us >= self._release_at_us:
            # Closing a real port ends its exclusive use. A pseudo-terminal stays exclusive while its other end is open.
            self._release_at_us = None
            fcntl.ioctl(self._slave, termios.TIOCNXCL)
        if ready and self.path:
            with suppress(BlockingIOError):  # The controller does not read. A real serial port drops such bytes too.
                os.write(self._master, ready)

    def _receive(self) -> None:
        if not self.path:
            return  # An event before this one has unplugged the card.
        now_us = self._building.clock_us()
        try:
            received = os.read(self._master, 4096)
        except BlockingIOError:
            return
        self._release_at_us = now_us + RELEASE_US
        for byte in received:
            self._to_card.append((self._free_at_us(self._to_card, now_us) + BYTE_US, byte))

    @staticmethod
    def _free_at_us(queue: deque[tuple[float, int]], earliest_us: float) -> float:
        """Return *earliest_us* or the arrival time of the last byte in *queue*, whichever is later."""
        return max(earliest_us, queue[-1][0]) if queue else earliest_us
