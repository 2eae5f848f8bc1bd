"""The client of the I/O card, without I/O: identification, sweeps, and how it gets back into step with the card.

1. The device on a port that was just opened may not be a card. It is asked for its identity up to TRIES times, because
   a card may miss the first request. Everything else that it sends is discarded. Only then is it swept.
2. The motor halts if the reply to a sweep takes longer than LATE_MS or is malformed: another program may have written
   to the card, or have read its replies. HALT is written at once, and every SWEEP_MS while the client resynchronises.
3. To resynchronise, the client requests the card's identity until the card has sent nothing else, and then nothing at
   all for QUIET_MS. Then it writes all outputs again, with the motor stopped, and sweeps. The first good reply ends the
   halt. Until then snapshots say `halted` and commands are ignored.
4. A late reply that is complete shows that no byte was lost. So it is a snapshot, and it ends the halt.
5. If a halt lasts for SILENCE_MS, the card is lost.
"""

from enum import Enum, auto
from typing import assert_never

from attrs import define, evolve, field

from elevator.core.model import Outputs
from elevator.hardware.io_card import HALT, IDENTITY, READ_IDENTITY, CardCodec
from elevator.hardware.panel_client import SILENCE_MS, SWEEP_MS, PanelClient, Receipt

TRIES, ASK_MS = 10, 100
LATE_MS = 50
"""A reply that takes longer stops the motor. A sweep and its reply take about 1 ms on the line."""
LOST_MS = 250
"""The client waits this long for the first byte of a late reply before it requests the card's identity."""
QUIET_MS = 20
"""After this long without a byte no reply is outstanding. USB adapters deliver every 16 ms or sooner."""


class CardLost(Exception):
    """The device on the port is no card, or does not answer any more. The message says which."""


class CardPhase(Enum):
    """How far the client has come with the device on the port."""

    CLOSED = auto()
    """The port is not open."""
    IDENTIFYING = auto()
    """The port was just opened, and the device is asked for its identity."""
    STARTING = auto()
    """The device is a card. No sweep has been answered yet."""
    IN_STEP = auto()
    """Replies match sweeps."""
    RESYNCHRONISING = auto()
    """The motor is halted, and the card is asked for its identity until it owes no reply."""
    RESUMING = auto()
    """The motor is halted, and the card is swept again. The first good reply ends the halt."""


HALTED = frozenset((CardPhase.RESYNCHRONISING, CardPhase.RESUMING))


@define(eq=False)
class Identification:
    """Requests for the card's identity, and the bytes received since the first of them."""

    request_at_ms: int
    """When to send the next request."""
    requests: int = 0
    """How many are outstanding."""
    received: bytes = b""
    has_strange_bytes: bool = False
    """Whether anything but identities was ever received."""

    @property
    def identities(self) -> int:
        return self.received.count(IDENTITY)

    @property
    def is_clean(self) -> bool:
        return self.identities == len(self.received)

    @property
    def is_answered(self) -> bool:
        """Whether the card has sent its identity, and nothing else."""
        return bool(self.requests and self.received) and self.is_clean

    def request(self, now_ms: int) -> bytes:
        """Return the next request. Replies that are no identities, or that nothing asked for, do not count."""
        if not self.is_clean or not self.requests:
            self.requests, self.received = 0, b""
        self.requests += 1
        self.request_at_ms = now_ms + ASK_MS
        return HALT + READ_IDENTITY


@define(eq=False)
class CardClient:
    """The client of one card at a time. `begin` starts with a port that was just opened, `end` closes it.

    The port sends `outgoing` and removes the bytes that it has sent. `receive` and `advance` raise CardLost.
    """

    _codec: CardCodec
    sweep_ms: int = SWEEP_MS
    panel: PanelClient = field(init=False)
    phase: CardPhase = field(default=CardPhase.CLOSED, init=False)
    outgoing: bytes = field(default=b"", init=False)
    halts: int = field(default=0, init=False)
    """How often late or malformed replies have stopped the motor."""
    why_halted: str = field(default="", init=False)
    """Why the last time."""
    _identification: Identification = field(factory=lambda: Identification(0), init=False)
    _received_at_ms: int = field(default=0, init=False)
    """When anything was last received."""
    _halt_at_ms: int = field(default=0, init=False)
    """When to write HALT again."""
    _next_at_ms: int = field(default=0, init=False)
    """When to sweep or to continue the identification."""
    _give_up_at_ms: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.panel = PanelClient(self._codec)

    @property
    def speed(self) -> int:
        """Speed of the motor in the commands to come."""
        return self._codec.speed

    @speed.setter
    def speed(self, speed: int) -> None:
        if speed != self._codec.speed:
            self._codec = self.panel.codec = evolve(self._codec, speed=speed)

    @property
    def tachometer(self) -> int:
        """The tachometer's value in the newest snapshot."""
        return self._codec.tachometer(self.panel.newest_reply)

    @property
    def is_card(self) -> bool:
        """Whether the device has identified itself since the port was opened."""
        return self.phase not in (CardPhase.CLOSED, CardPhase.IDENTIFYING)

    def begin(self, now_ms: int) -> None:
        """Ask the device on a port that was just opened who it is."""
        self.end()
        self.phase = CardPhase.IDENTIFYING
        self._identification = Identification(now_ms)
        self._give_up_at_ms = now_ms + TRIES * ASK_MS
        self._identify(now_ms)

    def end(self) -> None:
        """Forget the device: the port is closed."""
        self.phase = CardPhase.CLOSED
        self.panel.forget()
        self.outgoing = b""

    def wake_at_ms(self) -> int:
        """Return when `advance` must be called if nothing is received."""
        asked_at_ms = self.panel.asked_at_ms
        match self.phase:
            case CardPhase.CLOSED | CardPhase.IDENTIFYING | CardPhase.RESYNCHRONISING:
                return self._next_at_ms
            case CardPhase.STARTING:
                return self._next_at_ms if asked_at_ms is None else self._give_up_at_ms
            case CardPhase.IN_STEP | CardPhase.RESUMING:
                return self._next_at_ms if asked_at_ms is None else asked_at_ms + LATE_MS
            case _:
                assert_never(self.phase)

    def is_late(self, now_ms: int) -> bool:
        """Tell whether a reply is overdue. It may have arrived already if this process has stalled."""
        return self.panel.asked_at_ms is not None and now_ms >= self.panel.asked_at_ms + LATE_MS

    def receive(self, data: bytes, now_ms: int) -> None:
        """Take bytes that were received."""
        self._received_at_ms = now_ms
        match self.phase:
            case CardPhase.CLOSED:
                pass
            case CardPhase.IDENTIFYING:
                self._identification.received += data
            case CardPhase.RESYNCHRONISING:
                self._identification.received += data
                self._read_late_reply(now_ms)
            case CardPhase.STARTING | CardPhase.IN_STEP | CardPhase.RESUMING:
                self._take(self.panel.receive(data, now_ms), now_ms)
            case _:
                assert_never(self.phase)

    def advance(self, now_ms: int) -> None:
        """Do everything that is due: request the identity, sweep, halt, give up."""
        match self.phase:
            case CardPhase.CLOSED:
                pass
            case CardPhase.IDENTIFYING | CardPhase.RESYNCHRONISING:
                self._identify(now_ms)
            case CardPhase.STARTING | CardPhase.IN_STEP | CardPhase.RESUMING:
                self._sweep(now_ms)
            case _:
                assert_never(self.phase)

    def write(self, outputs: Outputs) -> bool:
        """Send the differences from the outputs last sent, unless the motor is halted; tell whether there are any."""
        message = self.panel.write(outputs) if self.phase is CardPhase.IN_STEP else b""
        self.outgoing += message
        return bool(message)

    def last_message(self) -> bytes:
        """Return what remains to be sent so that the motor stops and all lamps are dark."""
        return self.outgoing + (HALT + self._codec.changes(self.panel.sent, Outputs()) if self.is_card else b"")

    def _sweep(self, now_ms: int) -> None:
        """Sweep if it is time, and check whether the reply is late."""
        asked_at_ms = self.panel.asked_at_ms
        if asked_at_ms is None:
            if now_ms >= self._next_at_ms:
                self.outgoing += self.panel.ask(now_ms)
                self._next_at_ms = now_ms + self.sweep_ms
                if self.phase not in HALTED:
                    self._give_up_at_ms = now_ms + SILENCE_MS
        elif self.phase is not CardPhase.STARTING and now_ms >= asked_at_ms + LATE_MS:
            if self.panel.received:
                self._misread(now_ms, "a reply is cut short")
            else:
                self._halt(now_ms, f"no reply for {LATE_MS} ms", asked_at_ms + LOST_MS)
        elif now_ms >= self._give_up_at_ms:
            raise CardLost("no answer")

    def _take(self, receipt: Receipt, now_ms: int) -> None:
        match receipt:
            case Receipt.PARTIAL | Receipt.STALE:
                pass
            case Receipt.ANSWERED:
                self.phase = CardPhase.IN_STEP
            case Receipt.UNASKED:
                self._misread(now_ms, "a reply to nothing that was asked")
            case Receipt.MALFORMED:
                self._misread(now_ms, "a reply makes no sense")
            case _:
                assert_never(receipt)

    def _misread(self, now_ms: int, why: str) -> None:
        if self.phase is CardPhase.STARTING:
            raise CardLost(why)
        self.panel.drop()
        self._halt(now_ms, why, now_ms)

    def _halt(self, now_ms: int, why: str, request_at_ms: int) -> None:
        """Stop the motor and resynchronise. Request the identity from *request_at_ms* on."""
        self.outgoing = HALT  # This may follow the first half of a command, so the rest of that would mean nothing.
        self.panel.halt()
        if self.phase not in HALTED:
            self._give_up_at_ms = now_ms + SILENCE_MS - LATE_MS
        self.phase = CardPhase.RESYNCHRONISING
        self.halts += 1
        self.why_halted = why
        self._halt_at_ms = now_ms + SWEEP_MS
        self._identification = Identification(request_at_ms)
        self._identify(now_ms)

    def _identify(self, now_ms: int) -> None:
        """Request the identity until the card has sent that and nothing else, and is quiet."""
        identification, is_halted = self._identification, self.phase in HALTED
        identification.has_strange_bytes |= not identification.is_clean
        is_answered, quiet_ms = identification.is_answered, ASK_MS
        if identification.identities == identification.requests:
            quiet_ms = QUIET_MS if is_halted else 0
        quiet_at_ms = self._received_at_ms + quiet_ms
        if is_answered and now_ms >= quiet_at_ms:
            self._start_sweeping(CardPhase.RESUMING if is_halted else CardPhase.STARTING, now_ms)
            return
        if now_ms >= self._give_up_at_ms:
            raise CardLost("it is not this card" if identification.has_strange_bytes else "no answer")
        if now_ms >= identification.request_at_ms and not is_answered:
            self.outgoing += identification.request(now_ms)
        self._next_at_ms = min(quiet_at_ms if is_answered else identification.request_at_ms, self._give_up_at_ms)
        if is_halted:  # Another program may start the motor meanwhile.
            if now_ms >= self._halt_at_ms:
                self.outgoing = self.outgoing or HALT
                self._halt_at_ms = now_ms + SWEEP_MS
            self._next_at_ms = min(self._next_at_ms, self._halt_at_ms)

    def _read_late_reply(self, now_ms: int) -> None:
        """Read the reply to the sweep before the halt, if that comes first and is complete."""
        identification, size = self._identification, self._codec.reply_size
        if self.panel.asked_at_ms is None or len(identification.received) < size:
            return
        receipt = self.panel.read(identification.received[:size], now_ms)
        if receipt is Receipt.MALFORMED:
            return
        identification.received = identification.received[size:]
        is_fresh = receipt is Receipt.ANSWERED
        if not identification.requests and not identification.received:
            self._start_sweeping(CardPhase.IN_STEP if is_fresh else CardPhase.RESUMING, now_ms)
        elif is_fresh:
            self.panel.halt()

    def _start_sweeping(self, phase: CardPhase, now_ms: int) -> None:
        """Sweep a card that owes no reply. Other programs may have changed its outputs while it was not swept."""
        self.phase = phase
        self.outgoing += self.panel.rewrite()
        self.panel.drop()
        self._next_at_ms = now_ms
        self._sweep(now_ms)
