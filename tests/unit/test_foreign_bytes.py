"""Bytes that another program writes to the I/O card's port (foreign bytes). Also late and lost replies.

The first tests put a simulated card into the states that foreign bytes can cause, at every point of our messages. The
next ones run `CardPort` with a simulated card in virtual time. The last ones check what the core does during a halt.
"""

import itertools
import os
import pty
import random
import termios
import tty
from collections import deque
from collections.abc import Iterator

import pytest
from attrs import evolve

from elevator.building import elevators
from elevator.building.card_line import Card, apply_byte
from elevator.building.elevators import SimulatedElevator
from elevator.building.shaft import Shaft, put
from elevator.core.act import Tasks, act
from elevator.core.door import command
from elevator.core.drive import Drive, motor, sense
from elevator.core.model import Button, Buttons, Confirmed, Fault, Inputs, Motor, Outputs
from elevator.hardware import io_card
from elevator.hardware.card_client import LATE_MS, LOST_MS
from elevator.hardware.card_port import CardPort
from elevator.hardware.io_card import changes, sweeps
from elevator.hardware.panel_client import SWEEP_MS

DOOR_OPEN = Outputs(door=True, lamps=Buttons(0b001, 0b1000, 0b0110), floor=2)
MOVING_UP = Outputs(Motor.UP, lamps=Buttons(cab=0b1000), floor=1)
MOVING_DOWN = Outputs(Motor.DOWN, lamps=Buttons(up=0b001), floor=2, stop_lamp=True)
WANTED = [DOOR_OPEN, MOVING_UP, MOVING_DOWN]
SPEEDS = [13, 77, 88, 174]
"""Motor speeds that are also commands: 13 and 77 write the PWM pin, 88 opens the door, and 174 reads a pin."""
SAMPLES = bytes((0, 0x0A, 0x0D, 0x18, 0x24, 0x41, 0x4D, 0x54, 0x58, 0x5E, 0x64, 0x80, 0xAA, 0xE6, 0xEE, 0xFF))
"""Commands that read pins, or write unused pins, PWM, door, direction or a lamp. None writes the stop lamp or the floor
indicator."""


def at(floor: float) -> SimulatedElevator:
    return elevators.new_elevator(put(Shaft(4, 2000, 500), floor, 0))


def feed(card: Card, elevator: SimulatedElevator, stream: bytes) -> tuple[Card, SimulatedElevator]:
    for byte in stream:
        card, elevator, _ = apply_byte(card, elevator, byte, 0)
    return card, elevator


def disturbed_states() -> Iterator[tuple[Card, bool]]:
    """Yield the states of card and door that foreign bytes can cause, but with only 3 of the 256 speeds."""
    for speed, down, waits, door in itertools.product((0, 13, 255), (False, True), (False, True), (False, True)):
        yield Card(speed, down, 0, waits), door


def matches(wanted: Outputs, speed: int, card: Card, elevator: SimulatedElevator) -> bool:
    motor = card.speed == (speed if wanted.motor else 0) and (not wanted.motor or card.down == (wanted.motor < 0))
    return motor and not card.awaits_speed and elevator.door == wanted.door


@pytest.mark.slow
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("speed", SPEEDS)
def test_one_sweep_restores_motor_and_door_from_any_state(wanted: Outputs, speed: int) -> None:
    assert wanted.door is not None
    every = sweeps(wanted, speed)
    elevator_of = {door: evolve(at(2), door=door) for door in (False, True)}
    for sweep in every:
        # The foreign bytes arrive just before byte *begin* of a sweep. One more sweep follows.
        for begin in range(len(sweep)):
            halfway = {feed(card, elevator_of[door], sweep[begin:]) for card, door in disturbed_states()}
            assert all(matches(wanted, speed, *feed(*state, every[0])) for state in halfway)


@pytest.mark.parametrize("wanted", WANTED)
def test_all_sweeps_together_restore_every_lamp_and_the_floor_indicator(wanted: Outputs) -> None:
    for lamps in (Buttons(), Buttons(0b0111, 0b1110, 0b1111)):
        elevator = evolve(at(2), lamps=lamps, indicator=0, stop_lamp=not wanted.stop_lamp)
        _, elevator = feed(Card(), elevator, b"".join(sweeps(wanted, 255)))
        assert (elevator.lamps, elevator.indicator, elevator.stop_lamp) == (
            wanted.lamps,
            wanted.floor,
            wanted.stop_lamp,
        )


def test_sweeps_repeat_only_known_outputs() -> None:
    unsure = evolve(DOOR_OPEN, door=None, unsure=Buttons(up=-1), floor=None)
    written = set(b"".join(sweeps(unsure, 255)))
    assert not written & {24, 0x40 + 24, 30, 0x40 + 30, 31, 0x40 + 31, 29, 0x40 + 29, 22, 23, 0x40 + 22, 0x40 + 23}
    assert set(b"".join(sweeps(None, 255))) == {0, *io_card.SWEEP, 13}


MESSAGES = [
    io_card.HALT,
    *(changes(old, new, 255) for old in (None, *WANTED) for new in WANTED if old != new),
    *(sweep for wanted in (None, *WANTED) for sweep in sweeps(wanted, 255)),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_first_byte_of_a_message_never_starts_the_motor(message: bytes) -> None:
    """Another program has just written two bytes. Before HALT, every pair is tested; before other messages, only two.

    After 0x54 0x0D, the card expects a speed. 0x0D 0x0D starts the motor.
    """
    for pair in itertools.product(range(256), repeat=2) if message == io_card.HALT else [(0x54, 0x0D), (0x0D, 0x0D)]:
        card, elevator = feed(Card(), at(2), bytes(pair))
        card_after, elevator_after = feed(card, elevator, message[:1])
        assert card_after.speed == (0 if card.awaits_speed else card.speed)
        assert not card_after.awaits_speed
        assert elevator_after.door == elevator.door


def test_halt_stops_the_motor_in_any_state_and_does_nothing_else() -> None:
    for card, door in disturbed_states():
        elevator = evolve(at(2), door=door)
        after, elevator_after = feed(card, elevator, io_card.HALT)
        assert after == evolve(card, speed=0, awaits_speed=False)
        assert elevator_after.door == door
        seen = {feed(card, elevator, io_card.HALT[:cut])[0].speed for cut in range(4)}
        assert seen <= {0, card.speed}


class Rig:
    """A CardPort, a simulated card, and a controller that always wants the same outputs.

    During a halt, the controller stops the motor.
    """

    def __init__(self, wanted: Outputs, floor: float, sweep_ms: int, has_tachometer: bool) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = CardPort(os.ttyname(self._slave), 255, sweep_ms=sweep_ms, has_tachometer=has_tachometer)
        self.wanted = wanted
        self.now_ms = 0
        self.card, self.elevator = Card(), at(floor)
        self.tachometer = 0
        self.delay_ms = 0
        self.steal_count = 0
        """How many of the next reply bytes another program reads, so that the port does not receive them."""
        self._replies: deque[tuple[int, int]] = deque()
        self._foreign: tuple[int, bytes] | None = None
        self.inputs: Inputs | None = None
        self.seen: list[Inputs | None] = []
        self.running_ms = self.stopped_ms = self.wrong_way_ms = 0
        """How long the motor was running, stopped, and running in an unwanted direction, in ms. Tests reset these."""

    def run(self, ms: int) -> None:
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            due_ms = min(self.port.wake_at_ms(), self._replies[0][0] if self._replies else end_ms)
            began_ms, self.now_ms = self.now_ms, min(max(due_ms, self.now_ms + 1), self.now_ms + SWEEP_MS, end_ms)
            self._count(self.now_ms - began_ms)
            self._deliver()
            self.port.poll(self.now_ms)
            inputs = self.port.inputs(self.now_ms)
            if inputs is not self.inputs or inputs is None:
                self.inputs = inputs
                self.seen.append(inputs)
                if inputs is not None:
                    self.port.write(evolve(self.wanted, motor=Motor.STOP) if inputs.halted else self.wanted)
            self._execute()

    def start(self) -> None:
        self.run(100)
        assert self.is_restored()
        self.running_ms = self.stopped_ms = self.wrong_way_ms = 0
        self.seen.clear()

    def recover(self, ms: int) -> None:
        """Run for three sweeps, then until the outputs are restored and no reply is pending, but at most *ms*."""
        end_ms = self.now_ms + ms
        self.run(3 * SWEEP_MS)
        while self.now_ms < end_ms and (self.port.client.panel.asked_at_ms is not None or not self.is_restored()):
            self.run(1)

    def interfere(self, stream: bytes, before: int = 0) -> None:
        """Write *stream* as another program would, just before byte *before* of our next message.

        If the message is shorter, write it before the last byte.
        """
        self._foreign = before, stream

    def is_restored(self) -> bool:
        """Return whether the card has the wanted outputs and the port reports no halt. Ignore the stop lamp."""
        lit = (self.elevator.lamps, self.elevator.indicator) == (self.wanted.lamps, self.wanted.floor)
        inputs = self.inputs
        known = inputs is not None and not inputs.halted and inputs.confirmed.door_open == self.wanted.door
        return known and lit and matches(self.wanted, 255, self.card, self.elevator)

    def close(self) -> None:
        self.port.release()
        os.close(self._master)
        os.close(self._slave)

    def _count(self, ms: int) -> None:
        motor = self.elevator.shaft.motor
        self.running_ms += ms * (motor is not Motor.STOP)
        self.stopped_ms += ms * (motor is Motor.STOP)
        self.wrong_way_ms += ms * (motor not in (Motor.STOP, self.wanted.motor))

    def _deliver(self) -> None:
        ready = bytearray()
        while self._replies and self._replies[0][0] <= self.now_ms:
            ready.append(self._replies.popleft()[1])
        os.write(self._master, ready)

    def _execute(self) -> None:
        self.elevator, _ = elevators.settle(self.elevator, self.now_ms)
        try:
            received = os.read(self._master, 4096)
        except BlockingIOError:
            return
        for number, byte in enumerate(received):
            if self._foreign is not None and number == min(self._foreign[0], len(received) - 1):
                self._feed(self._foreign[1])
                self._foreign = None
            self._feed(bytes((byte,)))

    def _feed(self, stream: bytes) -> None:
        for byte in stream:
            self.card, self.elevator, reply = apply_byte(self.card, self.elevator, byte, self.now_ms)
            if reply and byte == io_card.READ_TACHOMETER[0]:
                reply = bytes((self.tachometer,))
            for each in reply:
                if self.steal_count:
                    self.steal_count -= 1
                else:
                    self._replies.append((self.now_ms + self.delay_ms, each))


@pytest.fixture
def rigs() -> Iterator[list[Rig]]:
    made: list[Rig] = []
    yield made
    for rig in made:
        rig.close()


def make(
    rigs: list[Rig],
    wanted: Outputs = DOOR_OPEN,
    floor: float = 2,
    sweep_ms: int = SWEEP_MS,
    has_tachometer: bool = False,
) -> Rig:
    rig = Rig(wanted, floor, sweep_ms, has_tachometer)
    rigs.append(rig)
    rig.start()
    return rig


PHASES = range(len(sweeps(MOVING_UP, 255)[0]))


@pytest.mark.rule("S3")
@pytest.mark.parametrize("phase", PHASES)
def test_stopped_car_recovers_from_any_foreign_byte(rigs: list[Rig], phase: int) -> None:
    rig = make(rigs)
    for byte in range(256):
        rig.running_ms = 0
        rig.interfere(bytes((byte,)), phase)
        rig.recover(200)
        assert rig.is_restored(), byte
        assert rig.running_ms <= LATE_MS + SWEEP_MS, byte
        if phase == 0 and byte != 0x4D:  # The command 0x4D starts the motor.
            assert rig.running_ms == 0, byte
        assert None not in rig.seen, byte
    assert len(rig.port.news) <= 2, "one line says that the card answers, and at most one a minute reports halts"


@pytest.mark.slow
@pytest.mark.rule("S3")
@pytest.mark.parametrize(("wanted", "stream"), [(MOVING_UP, bytes(range(256))), (MOVING_DOWN, SAMPLES)])
@pytest.mark.parametrize("phase", PHASES)
def test_moving_car_recovers_from_any_foreign_byte(rigs: list[Rig], phase: int, wanted: Outputs, stream: bytes) -> None:
    rig = make(rigs, wanted)
    for byte in stream:
        rig.elevator = elevators.put(rig.elevator, 1.5, rig.now_ms)
        rig.stopped_ms = rig.wrong_way_ms = 0
        rig.interfere(bytes((byte,)), phase)
        rig.recover(200)
        assert rig.is_restored(), byte
        assert rig.wrong_way_ms <= SWEEP_MS, byte
        assert rig.stopped_ms <= 3 * LATE_MS, byte
        assert None not in rig.seen, byte


@pytest.mark.parametrize("interval_ms", [0, 250])
@pytest.mark.parametrize("phase", PHASES[::3])
def test_port_recovers_if_it_reads_the_tachometer_at_another_sweep_interval(
    rigs: list[Rig], phase: int, interval_ms: int
) -> None:
    rig = make(rigs, sweep_ms=interval_ms, has_tachometer=True)
    for byte in SAMPLES:
        rig.running_ms = 0
        rig.interfere(bytes((byte,)), phase)
        rig.recover(200)
        assert rig.is_restored(), byte
        assert rig.running_ms <= LATE_MS + SWEEP_MS, byte
        assert None not in rig.seen, byte


def test_foreign_motor_command_ends_within_10_ms_even_with_a_long_sweep_interval(rigs: list[Rig]) -> None:
    rig = make(rigs, sweep_ms=250, has_tachometer=True)
    for pause_ms in range(SWEEP_MS):
        rig.run(pause_ms)
        rig.running_ms = 0
        rig._feed(b"\r\xff")
        rig.run(300)
        assert 0 < rig.running_ms <= SWEEP_MS


@pytest.mark.slow
@pytest.mark.parametrize("first", SAMPLES)
def test_port_recovers_from_pairs_of_foreign_bytes(rigs: list[Rig], first: int) -> None:
    rig = make(rigs)
    for second, phase in itertools.product(SAMPLES, PHASES):
        rig.running_ms = 0
        rig.interfere(bytes((first, second)), phase)
        rig.recover(300)
        assert rig.is_restored(), (second, phase)
        assert rig.running_ms <= LATE_MS + SWEEP_MS, (second, phase)
        assert None not in rig.seen, (second, phase)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("wanted", WANTED)
def test_port_recovers_from_one_second_of_foreign_bytes(rigs: list[Rig], wanted: Outputs, seed: int) -> None:
    rig, rng = make(rigs, wanted), random.Random(seed)
    for _ in range(1000):
        rig.interfere(rng.randbytes(rng.choice((0, 1, 9))), rng.randrange(15))
        rig.run(1)
    rig.elevator = elevators.put(rig.elevator, 1.5, rig.now_ms)
    rig.run(1500)
    assert rig.is_restored()
    assert len(rig.port.news) <= 6


@pytest.mark.rule("S3")
@pytest.mark.parametrize("late_ms", [LATE_MS + 1, 80, 120, 200, 240, 300, 400])
@pytest.mark.parametrize("wanted", WANTED)
def test_late_reply_halts_the_motor_and_is_then_decoded(rigs: list[Rig], wanted: Outputs, late_ms: int) -> None:
    rig = make(rigs, wanted, 1.5)
    rig.elevator = elevators.press(rig.elevator, Button.CAB, 0, rig.now_ms + 30)
    rig.delay_ms = late_ms
    rig.run(SWEEP_MS + 1)
    rig.delay_ms = 0
    rig.run(late_ms + 250)
    assert any(each is not None and each.halted for each in rig.seen)
    assert rig.stopped_ms >= min(late_ms - LATE_MS, LOST_MS - LATE_MS)
    assert rig.is_restored()
    assert None not in rig.seen
    assert any(each is not None and each.pressed.cab & 1 for each in rig.seen)
    assert rig.port.news[1:] == [each for each in rig.port.news if "no reply for 50 ms" in each]
    assert len(rig.port.news) == 2


@pytest.mark.parametrize("late_ms", [LATE_MS + 1, 120, 200])
def test_late_reply_updates_the_tachometer(rigs: list[Rig], late_ms: int) -> None:
    rig = make(rigs, MOVING_UP, 1.5, sweep_ms=0, has_tachometer=True)
    rig.tachometer = 200
    rig.delay_ms = late_ms
    rig.run(2 * late_ms)
    assert rig.port.tachometer == 200
    assert rig.port.halts
    assert None not in rig.seen


@pytest.mark.parametrize("late_ms", [60, 90, 120, 150])
def test_port_on_a_slow_adapter_misses_no_press_and_moves_the_car(rigs: list[Rig], late_ms: int) -> None:
    rig = make(rigs, MOVING_UP, 0)
    rig.delay_ms = late_ms
    for phase_ms in range(0, 300, 7):
        rig.seen.clear()
        rig.run(phase_ms)
        rig.elevator = elevators.press(rig.elevator, Button.CAB, 2, rig.now_ms + 200)
        rig.run(200 + late_ms)
        assert any(each is not None and each.pressed.cab & 4 for each in rig.seen)
        assert None not in rig.seen
    assert rig.running_ms
    assert len(rig.port.news) <= 2


@pytest.mark.parametrize("stolen", range(1, 9))
@pytest.mark.parametrize("wanted", WANTED)
def test_stolen_reply_bytes_halt_the_motor_until_the_port_resynchronises(
    rigs: list[Rig], wanted: Outputs, stolen: int
) -> None:
    rig = make(rigs, wanted, 1.5)
    rig.steal_count = stolen
    rig.run(LATE_MS + SWEEP_MS + 2)
    assert rig.card.speed == 0
    rig.run(800)
    assert rig.is_restored()
    assert len(rig.port.news) == 2
    if stolen <= 5:  # Five bytes are the reply to one sweep and the byte after it.
        assert None not in rig.seen


@pytest.mark.parametrize("stolen", [4, 8])
def test_foreign_motor_command_during_a_halt_lasts_at_most_10_ms(rigs: list[Rig], stolen: int) -> None:
    for wait_ms in range(0, 180, 20):
        rig = make(rigs)
        rig.steal_count = stolen
        rig.run(LATE_MS + SWEEP_MS + 2 + wait_ms)
        assert rig.inputs is not None
        assert rig.inputs.halted
        rig._feed(b"\r\xff")
        rig.run(500)
        assert 0 < rig.running_ms <= SWEEP_MS


def test_motor_commands_during_a_halt_are_ignored(rigs: list[Rig]) -> None:
    rig = make(rigs, MOVING_UP, 1.5)
    rig.delay_ms = 1000
    rig.run(LATE_MS + SWEEP_MS + 2)
    rig.port.write(MOVING_UP)
    rig.run(20)
    assert rig.card.speed == 0


@pytest.mark.rule("S3")
def test_all_outputs_are_written_again_before_the_halt_ends(rigs: list[Rig]) -> None:
    rig = make(rigs)
    rig.steal_count = len(io_card.SWEEP)
    rig.run(LATE_MS + SWEEP_MS + 2)
    rig.interfere(bytes((0x40 + 33, 24)))
    while rig.inputs is None or rig.inputs.halted:
        rig.run(1)
    assert rig.is_restored()


def test_stalled_process_reads_replies_that_arrived_during_the_stall(rigs: list[Rig]) -> None:
    rig = make(rigs, MOVING_UP, 1.5)
    rig.run(SWEEP_MS)
    while rig.port.client.panel.asked_at_ms is None:
        rig.run(1)
    rig._deliver()
    rig.now_ms += 400
    rig._deliver()
    rig.port.poll(rig.now_ms, readable=False)
    assert rig.port.halts == 0
    assert rig.port.inputs(rig.now_ms) is not None


def test_foreign_terminal_settings_are_reset(rigs: list[Rig]) -> None:
    rig = make(rigs)
    attributes = termios.tcgetattr(rig._slave)
    attributes[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(rig._slave, termios.TCSANOW, attributes)
    rig.run(500)
    assert rig.is_restored()
    assert None not in rig.seen


def drive_once(car: Drive, now_ms: int, inputs: Inputs, tasks: Tasks) -> Drive:
    return act(sense(car, now_ms, inputs, floors=4, listening=False).car, now_ms, tasks).car


def test_halt_stops_the_car_without_a_motor_fault() -> None:
    tasks = Tasks(0, Buttons(cab=0b1000), Buttons(cab=0b1000))
    car, now_ms = Drive(), 0
    for floor in (0, 0, None):
        confirmed = Confirmed(motor_stopped=not now_ms)
        car = drive_once(car, now_ms, Inputs(floor=floor, confirmed=confirmed), tasks)
        now_ms += 100
    assert motor(car, 4) is Motor.UP
    for _ in range(10):
        car = drive_once(car, now_ms, Inputs(halted=True), tasks)
        assert (motor(car, 4), car.fault) == (Motor.STOP, Fault.NONE)
        now_ms += 1000
    car = drive_once(car, now_ms, Inputs(confirmed=Confirmed(motor_stopped=True)), tasks)
    assert (motor(car, 4), car.fault) == (Motor.UP, Fault.NONE)
    car = drive_once(car, now_ms + 1000, Inputs(floor=1), tasks)
    assert (motor(car, 4), car.fault) == (Motor.UP, Fault.NONE)
    assert not car.times.legs, "a leg with a halt is not measured"


def test_open_door_stays_open_during_a_halt() -> None:
    tasks = Tasks(0, Buttons(cab=0b0001), Buttons(cab=0b0001))
    car, now_ms = Drive(), 0
    for confirmed in (Confirmed(motor_stopped=True), Confirmed(True, True)):
        car = drive_once(car, now_ms, Inputs(floor=0, confirmed=confirmed), tasks)
        now_ms += 10
    assert command(car.door)
    for _ in range(10):
        car = drive_once(car, now_ms, Inputs(floor=0, confirmed=Confirmed(True, True), halted=True), tasks)
        assert command(car.door)
        now_ms += 1000
