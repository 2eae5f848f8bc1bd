"""The client of a panel, for any protocol, without I/O or clocks: bytes and times in, bytes out.

1. A reply says at most what kind of request it answers. So one *sweep* requests all inputs, and at most one sweep is
   outstanding. The complete reply to a sweep yields one snapshot.
2. A snapshot is fresh for FRESH_MS after its reply has arrived. A reply that takes FRESH_MS or longer is stale, so it
   is dropped. For the first reply of a connection, the limit is `first_reply_ms` instead.
3. A message contains only the outputs that differ from those already sent on this connection. After a reconnect,
   nothing has been sent yet, so all outputs are written again. No outputs are written before the first snapshot. The
   client of the card also writes all outputs again when it resumes sweeping after a halt (`rewrite`).
4. No reply says whether the door is open or the motor is stopped. But a panel executes messages in order. So the reply
   to a sweep confirms that an earlier command has opened the door or stopped the motor, unless that command was
   reversed before the reply arrived.
"""

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import cycle
from typing import Protocol

from attrs import define, field

from elevator.core.evolve import evolve
from elevator.core.model import Confirmed, Inputs, Motor, Outputs
from elevator.hardware.panel_outputs import outputs_after

SWEEP_MS = 10
FRESH_MS = 500
TIMEOUT_MS = 1000
"""If a panel does not answer a sweep for this long, the connection is closed and opened again. Only the first reply on
a TCP connection may take longer (elevator_server.py). This time also limits a halt of the card (card_client.py). The
core treats a panel as lost earlier: once no snapshot is fresh."""
RETRY_MS = 100
BACKLOG_MAX = 1 << 16
"""If more bytes than this wait to be sent to a panel, the connection is closed and opened again."""


NOTHING_SENT_SINCE = Confirmed(True, True)


def confirmation(sent: Outputs | None, before: Confirmed = NOTHING_SENT_SINCE) -> Confirmed:
    """Return what the reply to a sweep confirms, given the outputs *sent* before the sweep (None if unknown).

    If outputs are sent while the sweep is outstanding, call this again with them as *sent* and the previous result as
    *before*. The reply then confirms only what holds both before and after these outputs.
    """
    if sent is None:
        return Confirmed()
    return Confirmed(bool(sent.door) and before.door_open, sent.motor is Motor.STOP and before.motor_stopped)


class Codec(Protocol):
    """Encodes and decodes the messages of one protocol."""

    @property
    def reply_size(self) -> int:
        """Length of the reply to a sweep, in bytes."""

    def sweeps(self, sent: Outputs | None) -> Sequence[bytes]:
        """Return the sweeps to write in rotation to a panel with the outputs *sent* (None if unknown)."""

    def snapshot(self, reply: bytes) -> Inputs | None:
        """Decode a *reply* of `reply_size` bytes; return None if the reply is malformed."""

    def changes(self, sent: Outputs | None, wanted: Outputs) -> bytes:
        """Return the message that changes a panel from *sent* (None if unknown) to *wanted*; it may be empty."""


class Receipt(Enum):
    """The result of receiving bytes."""

    PARTIAL = auto()
    """The reply is not complete yet."""
    ANSWERED = auto()
    """The reply is complete, valid and in time. The newest snapshot is now that of this reply, or an equal one."""
    STALE = auto()
    """The reply is complete, but took too long and was dropped."""
    MALFORMED = auto()
    UNASKED = auto()
    """Bytes arrived while no sweep was outstanding, or more bytes arrived than the reply has."""


@define(eq=False)
class PanelClient:
    codec: Codec
    first_reply_ms: int = FRESH_MS
    """How long the first reply of a connection may take before it is stale."""
    sent: Outputs | None = field(default=None, init=False)
    """The outputs of the panel once it has executed everything sent; None if none were sent on this connection yet."""
    has_answered: bool = field(default=False, init=False)
    asked_at_ms: int | None = field(default=None, init=False)
    """When the outstanding sweep was written; None if there is none."""
    received: bytes = field(default=b"", init=False)
    """The part of the outstanding sweep's reply that was passed to `receive` so far."""
    newest: Inputs | None = field(default=None, init=False)
    """The newest snapshot of this connection, even if no longer fresh; None before the first. An equal snapshot does
    not replace it."""
    newest_reply: bytes = field(default=b"", init=False)
    """The newest reply of this connection that was neither malformed nor stale, even if its snapshot equals the one
    before; empty before the first."""
    newest_asked_at_ms: int = field(default=0, init=False)
    """When the sweep for `newest_reply` was written."""
    fresh_until_ms: int = field(default=0, init=False)
    is_current: bool = field(default=True, init=False)
    """True if `write` has sent no door or motor command since the sweep for `newest_reply`. A halt does not count."""
    _is_sweep_current: bool = field(default=True, init=False)
    """True if `write` has sent no door or motor command since the newest sweep. A halt does not count."""
    _to_confirm: Confirmed = field(default=Confirmed(), init=False)
    """What the reply to the outstanding sweep will confirm."""
    _sweeps: Iterator[bytes] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sweeps = cycle(self.codec.sweeps(None))

    def inputs(self, now_ms: int) -> Inputs | None:
        """Return the newest snapshot if it is fresh, else None."""
        return self.newest if now_ms < self.fresh_until_ms else None

    def forget(self) -> None:
        """Forget the outputs, the snapshots and the outstanding sweep of a connection that has ended."""
        self.drop()
        self._set_sent(None)
        self.has_answered = False
        self.newest, self.newest_reply, self.fresh_until_ms = None, b"", 0

    def ask(self, now_ms: int) -> bytes:
        """Return the next sweep to write; from then on, it is outstanding. No other sweep may be outstanding."""
        assert self.asked_at_ms is None
        self.asked_at_ms = now_ms
        self._to_confirm = confirmation(self.sent)
        self._is_sweep_current = True
        return next(self._sweeps)

    def drop(self) -> None:
        """Stop waiting for the reply to the outstanding sweep, if any."""
        self.received, self.asked_at_ms = b"", None

    def receive(self, data: bytes, now_ms: int) -> Receipt:
        """Process received bytes. Once the reply to the outstanding sweep is complete, decode it unless it is stale."""
        self.received += data
        missing = self.codec.reply_size - len(self.received)
        if self.asked_at_ms is None or missing < 0:
            return Receipt.UNASKED
        if missing:
            return Receipt.PARTIAL
        reply, self.received = self.received, b""
        if self._is_stale(self.asked_at_ms, now_ms):
            self.asked_at_ms = None
            return Receipt.STALE
        return self.read(reply, now_ms)

    def read(self, reply: bytes, now_ms: int) -> Receipt:
        """Decode the complete *reply* to the outstanding sweep. If it is malformed, the sweep remains outstanding.

        A valid reply is dropped if it is stale. Otherwise the newest snapshot is fresh again, and is replaced if the
        snapshot in *reply* differs from it.
        """
        assert self.asked_at_ms is not None
        newest, confirmed = self.newest, self._to_confirm
        if newest is None or newest.halted or reply != self.newest_reply or confirmed != newest.confirmed:
            inputs = self.codec.snapshot(reply)
            if inputs is None:
                return Receipt.MALFORMED
            inputs = evolve(inputs, confirmed=confirmed)
            newest = newest if inputs == newest else inputs
        asked_at_ms, self.asked_at_ms = self.asked_at_ms, None
        if self._is_stale(asked_at_ms, now_ms):
            return Receipt.STALE
        self.newest_asked_at_ms = asked_at_ms
        self.newest, self.newest_reply = newest, reply
        self.is_current = self._is_sweep_current
        self.has_answered = True
        self.fresh_until_ms = now_ms + FRESH_MS
        return Receipt.ANSWERED

    def write(self, outputs: Outputs) -> bytes:
        """Return the message that changes the panel's outputs to *outputs*, and count it as sent.

        The message is empty if nothing must change, or if the panel has not answered on this connection yet.
        """
        if not self.has_answered or outputs == self.sent:
            return b""
        message, commands = self.codec.changes(self.sent, outputs), _commands(self.sent)
        self._set_sent(outputs_after(self.sent, outputs))
        if commands != _commands(self.sent):
            self.is_current = self._is_sweep_current = False
        self._to_confirm = confirmation(self.sent, self._to_confirm)
        return message

    def halt(self) -> None:
        """Record that the caller has stopped the motor, and mark the newest snapshot as `halted`."""
        if self.sent is not None:
            self._set_sent(evolve(self.sent, motor=Motor.STOP))
        if self.newest is not None:
            self.newest = evolve(self.newest, halted=True)

    def rewrite(self) -> bytes:
        """Return the message that sends all known outputs in `sent` again; empty if no outputs were sent yet."""
        return b"" if self.sent is None else self.codec.changes(None, self.sent)

    def _is_stale(self, asked_at_ms: int, now_ms: int) -> bool:
        return now_ms >= asked_at_ms + (FRESH_MS if self.has_answered else self.first_reply_ms)

    def _set_sent(self, sent: Outputs | None) -> None:
        self.sent = sent
        self._sweeps = cycle(self.codec.sweeps(sent))


def _commands(sent: Outputs | None) -> tuple[Motor, int, bool | None] | None:
    return None if sent is None else (sent.motor, sent.motor_try, sent.door)
