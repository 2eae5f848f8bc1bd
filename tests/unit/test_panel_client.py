"""The client of a panel, connected to a simulated elevator without sockets or clocks."""

import pytest
from attrs import evolve

from elevator.building import elevators, protocol
from elevator.building.shaft import Shaft, put
from elevator.core.model import NEVER_MS, Button, Buttons, Confirmed, Inputs, Motor, Outputs
from elevator.hardware.elevator_server import ServerCodec, changes, sweep
from elevator.hardware.panel_client import FRESH_MS, PanelClient, Receipt

FLOORS = 4
SWEEP = sweep(FLOORS)


class Panel:
    """A client and a simulated panel that replies at once."""

    def __init__(self, first_reply_ms: int = FRESH_MS) -> None:
        self.elevator = elevators.new_elevator(put(Shaft(FLOORS), 2, 0))
        self.client = PanelClient(ServerCodec(FLOORS), first_reply_ms)

    def execute(self, messages: bytes) -> bytes:
        answer = protocol.answer(self.elevator, messages, 0)
        self.elevator = answer.elevator
        return answer.replies

    def is_current(self) -> bool:
        return self.client.is_current

    def sweep(self, now_ms: int) -> Receipt:
        return self.client.receive(self.execute(self.client.ask(now_ms)), now_ms)


@pytest.fixture
def panel() -> Panel:
    made = Panel()
    assert made.sweep(0) is Receipt.ANSWERED
    return made


def test_reply_is_decoded_when_its_last_byte_arrives(panel: Panel) -> None:
    panel.elevator = elevators.press(panel.elevator, Button.CAB, 3, None)
    reply = panel.execute(panel.client.ask(10))
    for byte in reply[:-1]:
        assert panel.client.receive(bytes((byte,)), 11) is Receipt.PARTIAL
    assert panel.client.inputs(11) == Inputs(floor=2)
    assert panel.client.receive(reply[-1:], 12) is Receipt.ANSWERED
    assert panel.client.inputs(12) == Inputs(Buttons(cab=0b1000), 2)


def test_equal_snapshots_are_one_object(panel: Panel) -> None:
    first = panel.client.inputs(0)
    reply = panel.execute(panel.client.ask(10))
    noise = bytearray(reply)
    noise[3] = 1  # The last byte of each reply has no meaning.
    assert panel.client.receive(bytes(noise), 10) is Receipt.ANSWERED
    assert panel.client.inputs(10) is first
    assert panel.sweep(20) is Receipt.ANSWERED
    assert panel.client.inputs(20) is first


def test_snapshot_expires_after_its_maximum_age(panel: Panel) -> None:
    assert panel.client.inputs(FRESH_MS - 1) is not None
    assert panel.client.inputs(FRESH_MS) is None


def test_stale_reply_is_dropped_and_the_next_sweep_may_be_sent(panel: Panel) -> None:
    reply = panel.execute(panel.client.ask(10))
    assert panel.client.receive(reply, 10 + FRESH_MS) is Receipt.STALE
    assert panel.client.inputs(10 + FRESH_MS) is None
    assert panel.sweep(10 + FRESH_MS) is Receipt.ANSWERED


@pytest.mark.parametrize(("first_reply_ms", "receipt"), [(FRESH_MS, Receipt.STALE), (NEVER_MS, Receipt.ANSWERED)])
def test_first_reply_of_a_connection_has_its_own_time_limit(first_reply_ms: int, receipt: Receipt) -> None:
    panel = Panel(first_reply_ms)
    reply = panel.execute(panel.client.ask(0))
    assert panel.client.receive(reply, FRESH_MS) is receipt
    panel.sweep(FRESH_MS)
    assert panel.client.receive(panel.execute(panel.client.ask(600)), 600 + FRESH_MS) is Receipt.STALE


def test_bytes_that_belong_to_no_reply_are_reported_as_unasked(panel: Panel) -> None:
    assert panel.client.receive(b"\0", 5) is Receipt.UNASKED
    panel.client.drop()
    reply = panel.execute(panel.client.ask(10))
    assert panel.client.receive(reply + b"\0", 10) is Receipt.UNASKED
    panel.client.drop()
    assert panel.sweep(20) is Receipt.ANSWERED


def test_malformed_reply_leaves_the_snapshot_unchanged_and_the_sweep_outstanding(panel: Panel) -> None:
    newest = panel.client.inputs(0)
    panel.client.ask(10)
    assert panel.client.receive(b"\x07" * len(SWEEP), 10) is Receipt.MALFORMED
    assert panel.client.inputs(10) is newest
    assert panel.client.asked_at_ms == 10


def test_reply_confirms_the_commands_sent_before_its_sweep(panel: Panel) -> None:
    panel.execute(panel.client.write(Outputs(door=True)))
    assert panel.client.inputs(9) == Inputs(floor=2)
    panel.sweep(10)
    assert panel.client.inputs(10) == Inputs(floor=2, confirmed=Confirmed(door_open=True, motor_stopped=True))


def test_reply_confirms_no_command_that_was_reversed_for_a_moment_after_its_sweep(panel: Panel) -> None:
    panel.execute(panel.client.write(Outputs(door=True)))
    reply = panel.execute(panel.client.ask(10))
    panel.execute(panel.client.write(Outputs(motor=Motor.UP, door=False)))
    panel.execute(panel.client.write(Outputs(door=True)))
    assert panel.client.receive(reply, 11) is Receipt.ANSWERED
    assert panel.client.inputs(11) == Inputs(floor=2)
    panel.sweep(20)
    assert panel.client.inputs(20) == Inputs(floor=2, confirmed=Confirmed(door_open=True, motor_stopped=True))


def test_only_differences_are_written_until_a_reconnect(panel: Panel) -> None:
    first, second = Outputs(lamps=Buttons(up=1), floor=2), Outputs(lamps=Buttons(up=3), floor=2)
    assert panel.client.write(first) == changes(None, first, FLOORS)
    assert panel.client.write(first) == b""
    assert panel.client.write(second) == changes(first, second, FLOORS)
    panel.client.forget()
    assert panel.client.write(second) == b"", "the new connection has not answered yet"
    assert panel.client.inputs(1) is None
    panel.sweep(10)
    assert panel.client.write(second) == changes(None, second, FLOORS)


def test_halt_lasts_until_the_next_valid_reply_and_keeps_other_outputs(panel: Panel) -> None:
    wanted = Outputs(motor=Motor.UP, lamps=Buttons(up=1), floor=2)
    panel.client.write(wanted)
    panel.client.halt()
    assert panel.client.inputs(1) == Inputs(floor=2, halted=True)
    stopped = evolve(wanted, motor=Motor.STOP)
    assert panel.client.rewrite() == changes(None, stopped, FLOORS)
    panel.sweep(10)
    assert panel.client.inputs(10) == Inputs(floor=2, confirmed=Confirmed(motor_stopped=True))
    assert panel.client.write(wanted) == changes(stopped, wanted, FLOORS)


@pytest.mark.parametrize(
    "command", [Outputs(door=True), Outputs(motor=Motor.UP, door=None), Outputs(motor_try=1, door=None)]
)
def test_snapshot_is_current_only_if_its_sweep_followed_the_last_door_or_motor_command(
    panel: Panel, command: Outputs
) -> None:
    panel.client.write(Outputs(door=False))
    panel.sweep(10)
    assert panel.is_current()
    panel.client.write(Outputs(door=False, lamps=Buttons(up=1)))
    assert panel.is_current(), "only door and motor commands count"
    reply = panel.execute(panel.client.ask(20))
    panel.client.write(command)
    assert panel.client.receive(reply, 21) is Receipt.ANSWERED
    assert not panel.is_current()
    panel.sweep(30)
    assert panel.is_current()
