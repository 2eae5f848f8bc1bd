"""The client of the I/O card, without I/O: identification, sweeps and resynchronisation.

1. The device on a port that was just opened may not be the card. So the client first requests the device's identity, up
   to TRIES times, because a card may miss the first requests. Then it sweeps: it reads all inputs again and again. If
   the device does not identify itself, or the first sweep gets no valid reply, the client raises CardLost.
2. If a later reply takes longer than LATE_MS or is malformed, or if bytes arrive unasked, another program may be using
   the card. The client halts the motor: it writes HALT at once, and every SWEEP_MS until it sweeps again. During a
   halt, snapshots are marked `halted` and commands are ignored.
3. If a reply is late and nothing of it has arrived, the client waits for it until LOST_MS after the sweep. If exactly
   the reply arrives in that time, no byte was lost: the reply becomes a snapshot and ends the halt.
4. Otherwise the client requests the card's identity until the card answers with nothing else. Then it waits until the
   card has been quiet: for QUIET_MS if each request was answered, otherwise for ASK_MS. Then it writes all outputs
   again, with the motor stopped, and sweeps. The first valid reply ends the halt.
5. If no valid reply ends the halt within TIMEOUT_MS - LATE_MS, the client raises CardLost.
"""

from enum import Enum, auto
from typing import assert_never

from attrs import define, evolve, field

from elevator.core.model import Outputs
from elevator.hardware.io_card import HALT, IDENTITY, READ_IDENTITY, CardCodec
from elevator.hardware.panel_client import SWEEP_MS, TIMEOUT_MS, PanelClient, Receipt

TRIES, ASK_MS = 10, 100
LATE_MS = 50
"""If a reply other than the first takes longer than this, the client halts the motor. On the line, a sweep and its
reply take about 1 ms."""
LOST_MS = 250
"""If a late reply is not complete this long after its sweep, the client stops waiting and requests the identity."""
QUIET_MS = 20
"""If nothing arrives for this long, all replies have arrived: USB adapters hold bytes back for 16 ms at most."""


class CardLost(Exception):
    """The device is not the card, or no longer answers. The message is the reason, for the log."""


class CardPhase(Enum):
    """The state of the connection to the device on the port."""

    CLOSED = auto()
    IDENTIFYING = auto()
    """The port was just opened, and the client requests the device's identity."""
    STARTING = auto()
    """The device is a card. No sweep has been answered yet."""
    IN_STEP = auto()
    """The client sweeps, and the last reply was valid."""
    RESYNCHRONISING = auto()
    """The motor is halted. The client waits for a late reply, or requests the card's identity until all old replies
    have arrived."""
    RESUMING = auto()
    """The motor is halted, and the client sweeps again. The first valid reply ends the halt."""


HALTED = frozenset((CardPhase.RESYNCHRONISING, CardPhase.RESUMING))


@define(eq=False)
class Identification:
    """One attempt to identify the device: after the port was opened, or during a halt."""

    request_at_ms: int
    """When to request the identity next."""
    requests: int = 0
    """How many requests were sent since received bytes were last discarded."""
    received: bytes = b""
    has_strange_bytes: bool = False
    """True if any byte other than IDENTITY was received since the identification began."""

    @property
    def identities(self) -> int:
        return self.received.count(IDENTITY)

    @property
    def is_clean(self) -> bool:
        return self.identities == len(self.received)

    @property
    def is_answered(self) -> bool:
        """True if the device has answered with IDENTITY, and `received` contains no other byte."""
        return bool(self.requests and self.received) and self.is_clean

    def request(self, now_ms: int) -> bytes:
        """Return the next request, which begins with HALT.

        If it is the first request, or if any received byte is not IDENTITY, discard all received bytes.
        """
        if not self.is_clean or not self.requests:
            self.requests, self.received = 0, b""
        self.requests += 1
        self.request_at_ms = now_ms + ASK_MS
        return HALT + READ_IDENTITY


@define(eq=False)
class CardClient:
    """The client of a card. Call `begin` after opening the port and `end` after closing it.

    The caller writes `outgoing` to the port and removes the bytes that were written. `receive` and `advance` raise
    CardLost if the device is not the card or no longer answers.
    """

    _codec: CardCodec
    sweep_ms: int = SWEEP_MS
    panel: PanelClient = field(init=False)
    phase: CardPhase = field(default=CardPhase.CLOSED, init=False)
    outgoing: bytes = field(default=b"", init=False)
    halts: int = field(default=0, init=False)
    """How often the client has halted the motor since it was created. Another bad or late reply during a halt counts
    too."""
    why_halted: str = field(default="", init=False)
    """The reason for the last halt, for the log; empty before the first."""
    _identification: Identification = field(factory=lambda: Identification(0), init=False)
    _received_at_ms: int = field(default=0, init=False)
    _halt_at_ms: int = field(default=0, init=False)
    _next_at_ms: int = field(default=0, init=False)
    """When to send the next sweep, or to continue the identification."""
    _give_up_at_ms: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.panel = PanelClient(self._codec)

    @property
    def speed(self) -> int:
        """The motor speed for later commands, 1..255."""
        return self._codec.speed

    @speed.setter
    def speed(self, speed: int) -> None:
        if speed != self._codec.speed:
            self._codec = self.panel.codec = evolve(self._codec, speed=speed)

    @property
    def tachometer(self) -> int:
        """The tachometer value in the newest valid reply, 0..255; 0 if there is none, or sweeps do not read it."""
        return self._codec.tachometer(self.panel.newest_reply)

    @property
    def is_card(self) -> bool:
        """True if the device has identified itself as the card since the port was opened."""
        return self.phase not in (CardPhase.CLOSED, CardPhase.IDENTIFYING)

    def begin(self, now_ms: int) -> None:
        """Start identifying the device on a port that was just opened."""
        self.end()
        self.phase = CardPhase.IDENTIFYING
        self._identification = Identification(now_ms)
        self._give_up_at_ms = now_ms + TRIES * ASK_MS
        self._identify(now_ms)

    def end(self) -> None:
        """Forget the device after its port was closed."""
        self.phase = CardPhase.CLOSED
        self.panel.forget()
        self.outgoing = b""

    def wake_at_ms(self) -> int:
        """Return when to call `advance`, unless bytes are received earlier. Meaningless while the port is closed."""
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
        """Return whether a reply has been outstanding for LATE_MS.

        After a stall, the reply may be in the buffer of the port: read it before calling `advance`.
        """
        return self.panel.asked_at_ms is not None and now_ms >= self.panel.asked_at_ms + LATE_MS

    def receive(self, data: bytes, now_ms: int) -> None:
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
                self._process(self.panel.receive(data, now_ms), now_ms)
            case _:
                assert_never(self.phase)

    def advance(self, now_ms: int) -> None:
        """Do what is due: request the identity, sweep, halt the motor, or raise CardLost."""
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
        """Add the outputs that have changed to `outgoing`; return whether there were any.

        Before the first reply and during a halt, ignore *outputs* and return False.
        """
        message = self.panel.write(outputs) if self.phase is CardPhase.IN_STEP else b""
        self.outgoing += message
        return bool(message)

    def last_message(self) -> bytes:
        """Return the bytes to write before closing the port.

        If the device has identified itself as the card, they stop the motor, close the door and switch off all lamps.
        """
        return self.outgoing + (HALT + self._codec.changes(self.panel.sent, Outputs()) if self.is_card else b"")

    def _sweep(self, now_ms: int) -> None:
        """Sweep if the next sweep is due. If a reply is overdue, halt the motor or raise CardLost."""
        asked_at_ms = self.panel.asked_at_ms
        if asked_at_ms is None:
            if now_ms >= self._next_at_ms:
                self.outgoing += self.panel.ask(now_ms)
                self._next_at_ms = now_ms + self.sweep_ms
                if self.phase not in HALTED:
                    self._give_up_at_ms = now_ms + TIMEOUT_MS
        elif self.phase is not CardPhase.STARTING and now_ms >= asked_at_ms + LATE_MS:
            if self.panel.received:
                self._resynchronise(now_ms, "truncated reply")
            else:
                self._halt(now_ms, f"no reply for {LATE_MS} ms", asked_at_ms + LOST_MS)
        elif now_ms >= self._give_up_at_ms:
            raise CardLost("no answer")

    def _process(self, receipt: Receipt, now_ms: int) -> None:
        match receipt:
            case Receipt.STALE if self.phase is CardPhase.STARTING:
                raise CardLost("reply too late")
            case Receipt.PARTIAL | Receipt.STALE:
                pass
            case Receipt.ANSWERED:
                self.phase = CardPhase.IN_STEP
            case Receipt.UNASKED:
                self._resynchronise(now_ms, "unexpected reply")
            case Receipt.MALFORMED:
                self._resynchronise(now_ms, "malformed reply")
            case _:
                assert_never(receipt)

    def _resynchronise(self, now_ms: int, why: str) -> None:
        if self.phase is CardPhase.STARTING:
            raise CardLost(why)
        self.panel.drop()
        self._halt(now_ms, why, now_ms)

    def _halt(self, now_ms: int, why: str, request_at_ms: int) -> None:
        """Stop the motor and resynchronise: request the identity from *request_at_ms* on."""
        self.outgoing = HALT  # Drops the rest of a partly written message: the card would misread it after HALT.
        self.panel.halt()
        if self.phase not in HALTED:
            self._give_up_at_ms = now_ms + TIMEOUT_MS - LATE_MS
        self.phase = CardPhase.RESYNCHRONISING
        self.halts += 1
        self.why_halted = why
        self._halt_at_ms = now_ms + SWEEP_MS
        self._identification = Identification(request_at_ms)
        self._identify(now_ms)

    def _identify(self, now_ms: int) -> None:
        """Request the identity until the device answers with nothing else. Once the device is quiet, start to sweep.

        During a halt, also write HALT when due. Raise CardLost if the identification has taken too long.
        """
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
            raise CardLost("not the lab's I/O card" if identification.has_strange_bytes else "no answer")
        if now_ms >= identification.request_at_ms and not is_answered:
            self.outgoing += identification.request(now_ms)
        self._next_at_ms = min(quiet_at_ms if is_answered else identification.request_at_ms, self._give_up_at_ms)
        if is_halted:  # Repeat HALT, because another program may start the motor.
            if now_ms >= self._halt_at_ms:
                self.outgoing = self.outgoing or HALT
                self._halt_at_ms = now_ms + SWEEP_MS
            self._next_at_ms = min(self._next_at_ms, self._halt_at_ms)

    def _read_late_reply(self, now_ms: int) -> None:
        """Decode the late reply to the last sweep, if it is complete and no other byte preceded it.

        If no other byte followed either, and the identity was not requested meanwhile, start to sweep. Otherwise, the
        halt continues.
        """
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
        """Send all known outputs again, in case another program changed them, and sweep.

        Call this only once no earlier reply can arrive any more.
        """
        self.phase = phase
        self.outgoing += self.panel.rewrite()
        self.panel.drop()
        self._next_at_ms = now_ms
        self._sweep(now_ms)
