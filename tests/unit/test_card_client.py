"""The client of the I/O card, without a port."""

from collections.abc import Iterator

import pytest

from elevator.core.model import Buttons, Confirmed, Inputs, Motor, Outputs
from elevator.hardware.card_client import (
    ASK_MS,
    LATE_MS,
    LOST_MS,
    QUIET_MS,
    TRIES,
    CardClient,
    CardLost,
    CardPhase,
)
from elevator.hardware.io_card import HALT, IDENTITY, PAD, READ_IDENTITY, SWEEP, CardCodec, changes, sweeps
from elevator.hardware.panel_client import FRESH_MS, SWEEP_MS, TIMEOUT_MS

IDENTIFIED = bytes((IDENTITY,))
AT_FLOOR_2 = b"\xa2\x80\x00\xa2"
AT_FLOOR_2_PRESSED = b"\xa2\x80\x10\xa2"
TWO_FLOORS = b"\xa2\x30\x00\xa2"
MOVING_UP = Outputs(Motor.UP, lamps=Buttons(cab=0b1000), floor=2)
STOPPED = Outputs(Motor.STOP, lamps=Buttons(cab=0b1000), floor=2)
SPEED = 99


class Line:
    """A serial line with a CardClient at one end. The test plays the card at the other."""

    def __init__(self) -> None:
        self.client = CardClient(CardCodec(SPEED))
        self.now_ms = 0

    def sent(self) -> bytes:
        """Remove and return the outgoing bytes."""
        sent, self.client.outgoing = self.client.outgoing, b""
        assert sent[:1] in (b"", PAD), "each message begins with PAD"
        return sent

    def receive(self, data: bytes) -> bytes:
        """Deliver *data* to the client. Return the bytes that the client then sends."""
        self.client.receive(data, self.now_ms)
        self.client.advance(self.now_ms)
        return self.sent()

    def wait(self, ms: int) -> Iterator[tuple[int, bytes]]:
        """Let *ms* pass without a reply. Yield the time and bytes of each message from the client."""
        end_ms = self.now_ms + ms
        while self.client.wake_at_ms() <= end_ms:
            self.now_ms = max(self.client.wake_at_ms(), self.now_ms)
            self.client.advance(self.now_ms)
            if self.client.outgoing:
                yield self.now_ms, self.sent()
        self.now_ms = end_ms

    def phase(self) -> CardPhase:
        return self.client.phase

    def inputs(self) -> Inputs | None:
        return self.client.panel.inputs(self.now_ms)


@pytest.fixture
def line() -> Line:
    """Return a line whose card has answered one sweep, has received MOVING_UP, and owes the reply to a second sweep."""
    made = Line()
    made.client.begin(0)
    assert made.sent() == HALT + READ_IDENTITY
    assert made.receive(IDENTIFIED) == sweeps(None, SPEED)[0]
    assert made.phase() is CardPhase.STARTING
    made.receive(AT_FLOOR_2)
    assert made.phase() is CardPhase.IN_STEP
    assert made.client.write(MOVING_UP)
    assert made.sent() == changes(None, MOVING_UP, SPEED)
    assert list(made.wait(SWEEP_MS)) == [(SWEEP_MS, sweeps(MOVING_UP, SPEED)[0])]
    return made


def test_sweeps_are_sent_every_10_ms_and_repeat_the_outputs_in_rotation(line: Line) -> None:
    every = sweeps(MOVING_UP, SPEED)
    for number in range(1, 30):
        line.receive(AT_FLOOR_2)
        assert list(line.wait(SWEEP_MS)) == [((number + 1) * SWEEP_MS, every[number % len(every)])]


def test_silent_device_is_lost_after_ten_requests() -> None:
    line = Line()
    line.client.begin(0)
    requests = [(0, line.sent())]
    with pytest.raises(CardLost, match="no answer"):
        requests += line.wait(10 * TRIES * ASK_MS)
    assert line.now_ms == TRIES * ASK_MS
    assert len(requests) == TRIES == 10
    assert not line.client.is_card


def test_device_that_sends_no_card_identity_is_rejected() -> None:
    line = Line()
    line.client.begin(0)
    line.receive(b"$GPGGA\r\n")
    with pytest.raises(CardLost, match="not the lab's I/O card"):
        list(line.wait(10 * TRIES * ASK_MS))


def test_card_is_lost_without_a_halt_if_its_first_reply_is_malformed() -> None:
    line = Line()
    line.client.begin(0)
    line.receive(IDENTIFIED)
    with pytest.raises(CardLost, match="malformed reply"):
        line.receive(TWO_FLOORS)
    assert not line.client.halts


def test_card_is_lost_if_its_first_reply_is_stale() -> None:
    line = Line()
    line.client.begin(0)
    line.receive(IDENTIFIED)
    list(line.wait(FRESH_MS))
    with pytest.raises(CardLost, match="reply too late"):
        line.receive(AT_FLOOR_2)


def test_halt_is_repeated_every_10_ms_until_the_late_reply_arrives(line: Line) -> None:
    asked_at_ms = line.now_ms
    halts = list(line.wait(LATE_MS + 55))
    assert halts == [(asked_at_ms + LATE_MS + n * SWEEP_MS, HALT) for n in range(6)]
    assert line.client.why_halted == f"no reply for {LATE_MS} ms"
    assert line.inputs() == Inputs(floor=2, halted=True)
    assert not line.client.write(MOVING_UP), "commands are ignored during a halt"
    assert line.receive(AT_FLOOR_2_PRESSED) == changes(None, STOPPED, SPEED) + sweeps(STOPPED, SPEED)[0]
    assert line.phase() is CardPhase.IN_STEP
    assert line.inputs() == Inputs(Buttons(cab=0b1000), 2)
    assert line.client.write(MOVING_UP)
    assert line.client.halts == 1


def test_reply_after_a_late_reply_is_decoded_even_if_it_equals_an_earlier_one(line: Line) -> None:
    line.receive(AT_FLOOR_2)
    list(line.wait(SWEEP_MS + LATE_MS))
    line.receive(AT_FLOOR_2_PRESSED)
    line.receive(AT_FLOOR_2)
    assert line.inputs() == Inputs(floor=2, confirmed=Confirmed(motor_stopped=True))


def test_identity_is_requested_if_a_late_reply_never_arrives(line: Line) -> None:
    asked_at_ms = line.now_ms
    first = next(at_ms for at_ms, sent in line.wait(2 * LOST_MS) if sent.endswith(READ_IDENTITY))
    assert first == asked_at_ms + LOST_MS


@pytest.mark.parametrize(
    ("received", "why"),
    [
        (TWO_FLOORS, "malformed reply"),
        (AT_FLOOR_2 + b"\0", "unexpected reply"),
    ],
)
def test_client_resynchronises_after_a_bad_reply(line: Line, received: bytes, why: str) -> None:
    assert line.receive(received) == HALT + HALT + READ_IDENTITY, "the client sends these at once"
    assert line.client.why_halted == why
    line.now_ms += 1
    assert line.receive(IDENTIFIED) == b""
    halts = list(line.wait(QUIET_MS - 1))
    assert {sent for _, sent in halts} == {HALT}, "the client waits until the card is quiet"
    assert list(line.wait(1)) == [(line.now_ms, changes(None, STOPPED, SPEED) + sweeps(STOPPED, SPEED)[0])]
    assert line.phase() is CardPhase.RESUMING
    assert line.inputs() == Inputs(floor=2, halted=True)
    assert not line.client.write(MOVING_UP)
    line.receive(AT_FLOOR_2)
    assert line.phase() is CardPhase.IN_STEP
    assert line.inputs() == Inputs(floor=2, confirmed=Confirmed(motor_stopped=True))


def test_truncated_reply_halts_the_motor(line: Line) -> None:
    line.receive(AT_FLOOR_2[:-1])
    assert (line.now_ms + LATE_MS, HALT + HALT + READ_IDENTITY) == next(line.wait(LATE_MS))
    assert line.client.why_halted == "truncated reply"


def test_identity_is_requested_again_until_the_card_sends_nothing_else(line: Line) -> None:
    line.receive(TWO_FLOORS)
    for _ in range(3):
        line.receive(b"\x00")
        assert HALT + READ_IDENTITY in [sent[-len(HALT + READ_IDENTITY) :] for _, sent in line.wait(ASK_MS)]
    line.receive(IDENTIFIED)
    list(line.wait(QUIET_MS))
    assert line.phase() is CardPhase.RESUMING


def test_halt_drops_the_rest_of_an_interrupted_command(line: Line) -> None:
    line.client.outgoing = changes(None, MOVING_UP, SPEED)[5:]
    line.client.receive(TWO_FLOORS, line.now_ms)
    assert line.client.outgoing == HALT + HALT + READ_IDENTITY


def test_card_is_lost_if_a_halt_lasts_too_long(line: Line) -> None:
    asked_at_ms = line.now_ms
    with pytest.raises(CardLost, match="no answer"):
        list(line.wait(10 * TIMEOUT_MS))
    assert line.now_ms == asked_at_ms + TIMEOUT_MS
    assert line.client.is_card, "closing the port must still stop the motor"


def test_reply_that_arrives_too_late_for_a_snapshot_is_dropped(line: Line) -> None:
    list(line.wait(LATE_MS))
    line.now_ms += FRESH_MS
    line.receive(AT_FLOOR_2)
    assert line.phase() is CardPhase.RESUMING
    assert line.inputs() is None


def test_final_message_stops_the_motor_and_switches_off_the_lamps(line: Line) -> None:
    line.client.outgoing = PAD
    assert line.client.last_message() == PAD + HALT + changes(MOVING_UP, Outputs(), SPEED)
    line.client.end()
    assert line.client.last_message() == b""


def test_new_speed_applies_from_the_next_command(line: Line) -> None:
    line.client.speed = 7
    line.client.write(Outputs(Motor.DOWN, floor=2))
    assert line.sent().count(bytes((13, 7))) == 1


def test_changed_tachometer_value_makes_no_new_snapshot() -> None:
    line = Line()
    line.client = CardClient(CardCodec(SPEED, has_tachometer=True))
    line.client.begin(0)
    line.receive(IDENTIFIED)
    line.receive(b"\x07" + AT_FLOOR_2)
    first = line.inputs()
    assert first == Inputs(floor=2)
    assert line.client.tachometer == 7
    ((_, sent),) = line.wait(SWEEP_MS)
    assert sent[2 : 2 + len(SWEEP)] == SWEEP
    line.receive(b"\x08" + AT_FLOOR_2)
    assert line.client.tachometer == 8
    assert line.inputs() is first
