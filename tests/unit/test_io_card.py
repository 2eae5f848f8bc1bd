"""The codec of the I/O card, compared with independent tables of its bytes."""

import pytest
from attrs import evolve

from elevator.core.model import EVERY_BUTTON, Button, Buttons, Inputs, Motor, Outputs
from elevator.hardware import io_card

READS = [
    # The reply to a sweep and its inputs: each pin alone, from bit 0 of the first byte to bit 7 of the second.
    (b"\xa2\x01\x00\xa2", Inputs(Buttons(up=0b0100))),
    (b"\xa2\x02\x00\xa2", Inputs(Buttons(down=0b0010))),
    (b"\xa2\x04\x00\xa2", Inputs(Buttons(down=0b1000))),
    (b"\xa2\x08\x00\xa2", Inputs(Buttons(down=0b0100))),
    (b"\xa2\x10\x00\xa2", Inputs(floor=1)),
    (b"\xa2\x20\x00\xa2", Inputs(floor=0)),
    (b"\xa2\x40\x00\xa2", Inputs(floor=3)),
    (b"\xa2\x80\x00\xa2", Inputs(floor=2)),
    (b"\xa2\x00\x01\xa2", Inputs(stop=True)),
    (b"\xa2\x00\x02\xa2", Inputs(obstructed=True)),
    (b"\xa2\x00\x04\xa2", Inputs(Buttons(cab=0b0010))),
    (b"\xa2\x00\x08\xa2", Inputs(Buttons(cab=0b0001))),
    (b"\xa2\x00\x10\xa2", Inputs(Buttons(cab=0b1000))),
    (b"\xa2\x00\x20\xa2", Inputs(Buttons(cab=0b0100))),
    (b"\xa2\x00\x40\xa2", Inputs(Buttons(up=0b0010))),
    (b"\xa2\x00\x80\xa2", Inputs(Buttons(up=0b0001))),
    (b"\xa2\x00\x00\xa2", Inputs()),
    (b"\xa2\x2f\xff\xa2", Inputs(Buttons(0b0111, 0b1110, 0b1111), 0, stop=True, obstructed=True)),
]
DARK = Outputs(lamps=Buttons())
WRITES = [
    # The wanted outputs, and the bytes that set them on a dark, idle panel.
    (evolve(DARK, lamps=Buttons(up=0b0001)), [0x40 + 30]),
    (evolve(DARK, lamps=Buttons(up=0b0010)), [0x40 + 31]),
    (evolve(DARK, lamps=Buttons(up=0b0100)), [0x40 + 29]),
    (evolve(DARK, lamps=Buttons(down=0b0010)), [0x40 + 28]),
    (evolve(DARK, lamps=Buttons(down=0b0100)), [0x40 + 26]),
    (evolve(DARK, lamps=Buttons(down=0b1000)), [0x40 + 27]),
    (evolve(DARK, lamps=Buttons(cab=0b0001)), [0x40 + 34]),
    (evolve(DARK, lamps=Buttons(cab=0b0010)), [0x40 + 35]),
    (evolve(DARK, lamps=Buttons(cab=0b0100)), [0x40 + 32]),
    (evolve(DARK, lamps=Buttons(cab=0b1000)), [0x40 + 33]),
    (evolve(DARK, stop_lamp=True), [0x40 + 37]),
    (evolve(DARK, door=True), [0x40 + 24]),
    (evolve(DARK, floor=0), [22, 23]),
    (evolve(DARK, floor=1), [0x40 + 22, 23]),
    (evolve(DARK, floor=2), [22, 0x40 + 23]),
    (evolve(DARK, floor=3), [0x40 + 22, 0x40 + 23]),
    (evolve(DARK, motor=Motor.UP), [0, 13, 0, 36, 13, 200]),
    (evolve(DARK, motor=Motor.DOWN), [0, 13, 0, 0x40 + 36, 13, 200]),
]
OFF = {0x40 + pin: pin for pin in (*range(26, 36), 37, 24)}


@pytest.mark.parametrize(("reply", "inputs"), READS)
def test_reply_to_a_sweep_is_decoded(reply: bytes, inputs: Inputs) -> None:
    assert io_card.snapshot(reply) == inputs


def test_sweep_is_four_wide_reads() -> None:
    assert bytes((0xC0 + 63, 0xC0 + 38, 0xC0 + 46, 0xC0 + 63)) == io_card.SWEEP


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\xa2\x00\x00",
        b"\xa2\x00\x00\x00",
        b"\x00\x00\xa2\xa2",
        b"\x00\x00\x00\xa2",
        b"\xa2\x30\x00\xa2",
        b"\xa2\x00\x00\xa2\xa2",
    ],
)
def test_malformed_reply_or_one_that_reports_two_floors_is_refused(reply: bytes) -> None:
    assert io_card.snapshot(reply) is None


@pytest.mark.parametrize(("wanted", "written"), WRITES)
def test_changed_output_is_written(wanted: Outputs, written: list[int]) -> None:
    assert list(io_card.changes(DARK, wanted, 200)) == [0, *written]


@pytest.mark.parametrize(("lit", "written"), [each for each in WRITES if each[1][0] in OFF])
def test_lamps_are_switched_off_and_the_door_is_closed_again(lit: Outputs, written: list[int]) -> None:
    assert list(io_card.changes(lit, DARK, 200)) == [0, *(OFF[byte] for byte in written)]


def test_unchanged_outputs_are_not_written() -> None:
    for wanted, _ in WRITES:
        assert io_card.changes(wanted, wanted, 200) == b""


def test_card_in_unknown_state_gets_all_known_outputs() -> None:
    unknown = io_card.changes(None, Outputs(unsure=EVERY_BUTTON), 200)
    assert sorted(unknown) == sorted([0, 0, 13, 0, 24, 37])
    known = io_card.changes(None, evolve(DARK, floor=0), 200)
    assert sorted(known) == sorted([*unknown, *range(26, 36), 22, 23])


def test_motor_command_is_repeated_when_the_controller_retries_it() -> None:
    up = evolve(DARK, motor=Motor.UP)
    assert io_card.changes(up, evolve(up, motor_try=1), 99) == bytes((0, 0, 13, 0, 36, 13, 99))


def test_door_closes_before_the_motor_starts_and_motor_stops_before_the_door_opens() -> None:
    door_open, moving = evolve(DARK, door=True), evolve(DARK, motor=Motor.UP)
    assert io_card.changes(door_open, moving, 200)[:2] == bytes((0, 24))
    assert io_card.changes(moving, door_open, 200) == bytes((0, 0, 13, 0, 0x40 + 24))


def test_halt_stops_the_motor_after_an_interrupted_command() -> None:
    for cut in (b"", b"\x0d"):
        stream = list(cut + io_card.HALT)
        speed = None
        while stream:
            byte = stream.pop(0)
            if byte == 13:
                speed = stream.pop(0)
        assert speed == 0


def test_no_pin_has_two_meanings_and_every_button_has_a_lamp() -> None:
    outputs = [*io_card.LAMP_PINS.values(), *io_card.INDICATOR_PINS]
    outputs += [io_card.DOOR_PIN, io_card.STOP_LAMP_PIN, io_card.PWM_PIN, io_card.DIRECTION_PIN]
    inputs = [*io_card.BUTTON_PINS.values(), *io_card.SENSOR_PINS, io_card.STOP_PIN, io_card.OBSTRUCTION_PIN]
    assert sorted(inputs) == list(range(38, 54))
    assert len({*outputs, *inputs}) == len(outputs) + len(inputs)
    assert io_card.LAMP_PINS.keys() == io_card.BUTTON_PINS.keys()
    assert (Button.UP, 3) not in io_card.LAMP_PINS
    assert (Button.DOWN, 0) not in io_card.LAMP_PINS
