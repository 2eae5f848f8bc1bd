"""Splitting a client's byte stream into messages, in virtual time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.core.model import Motor
from elevator.hardware.server_side import MESSAGE_BYTES, PIECE_MS, MessageReader, motor_direction

A, B = bytes((6, 2, 3, 0)), bytes((1, 255, 0, 0))


def read(*arrivals: tuple[int, bytes]) -> bytes:
    """Return the messages that the server reads if bytes arrive as in *arrivals*, pairs of (time in ms, bytes)."""
    reader, messages = MessageReader(), b""
    for at_ms, chunk in arrivals:
        reader.expire(at_ms - 1)
        reader.receive(chunk, at_ms)
        messages += reader.pop_all()
    return messages


@pytest.mark.parametrize("split", [1, 2, 3])
def test_pieces_of_a_message_may_be_50_ms_apart(split: int) -> None:
    assert read((0, A[:split]), (50, A[split:]), (51, B)) == A + B


def test_each_piece_may_arrive_up_to_100_ms_after_the_previous_one() -> None:
    assert read(*((at * PIECE_MS, A[at : at + 1]) for at in range(4)), (1000, B)) == A + B


@pytest.mark.parametrize("split", [1, 2, 3])
def test_pieces_150_ms_apart_are_dropped_and_the_next_message_is_read(split: int) -> None:
    assert read((0, A[:split]), (150, A[split:]), (300, B)) == B


@pytest.mark.parametrize("extra", [b"\n", b"\r\n", b"\0\0\0"])
def test_extra_bytes_do_not_spoil_a_message_more_than_100_ms_later(extra: bytes) -> None:
    assert read((0, A + extra), (101, A), (102, B)) == A + A + B
    assert read((0, A + B + extra), (1000, A)) == A + B + A
    assert read((0, extra), (101, A)) == A


def test_extra_byte_spoils_only_messages_within_the_next_100_ms() -> None:
    assert read((0, A + b"\n"), (50, B), (200, A)) == A + b"\n" + B[:3] + A


def test_incomplete_message_expires_100_ms_after_its_last_piece() -> None:
    reader = MessageReader()
    assert reader.expires_at_ms() is None
    reader.receive(A[:1], 1000)
    assert reader.expires_at_ms() == 1100
    reader.receive(A[1:3], 1080)
    assert reader.expires_at_ms() == 1180
    assert reader.expire(1179) == 0
    assert reader.expire(1180) == 3
    assert reader.expires_at_ms() is None
    assert reader.expire(9999) == 0


def test_stalled_server_reads_the_complete_message() -> None:
    """After a stall, the server cannot know when the second piece arrived. So it keeps the first."""
    reader = MessageReader()
    reader.receive(A[:1], 0)
    reader.receive(A[1:], 5000)
    assert reader.pop() == A


def test_piece_after_an_unread_message_does_not_expire() -> None:
    reader = MessageReader()
    reader.receive(A + B[:2], 0)
    assert (reader.expires_at_ms(), reader.expire(5000)) == (None, 0)
    assert (reader.peek(), reader.peek(), reader.pop(), reader.peek()) == (A, A, A, b"")
    reader.receive(B[2:], 5000)
    assert (reader.pop(), reader.pop()) == (B, b"")


@given(st.lists(st.tuples(st.integers(0, 250), st.binary(max_size=9)), max_size=20))
def test_messages_after_a_pause_are_always_read(arrivals: list[tuple[int, bytes]]) -> None:
    now_ms, stream = 0, []
    for pause_ms, chunk in arrivals:
        now_ms += pause_ms
        stream.append((now_ms, chunk))
    messages = read(*stream, (now_ms + 101, A + B))
    assert messages.endswith(A + B)
    assert len(messages) % MESSAGE_BYTES == 0


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_pieces_in_quick_succession_form_one_stream(data: bytes, cuts: list[int]) -> None:
    ends = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [(start, data[start:end]) for start, end in pairwise(ends)]
    assert read(*pieces) == data[: len(data) - len(data) % MESSAGE_BYTES]


def test_direction_byte_of_a_motor_message_is_signed() -> None:
    assert [motor_direction(byte) for byte in (0, 1, 2, 127, 128, 254, 255)] == [
        Motor.STOP,
        *[Motor.UP] * 3,
        *[Motor.DOWN] * 3,
    ]
