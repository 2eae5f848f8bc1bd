"""The heartbeats of a node: their content, and when they are due. Pure.

A change is sent at once and repeated REPEATS - 1 times, so one lost datagram costs REPEAT_MS instead of HEARTBEAT_MS.
"""

from attrs import evolve, frozen

from elevator.core.model import Heartbeat
from elevator.core.peers import HEARTBEAT_MS

COALESCE_MS = 5
"""The least time between two heartbeats, ..."""
AWAITED_MS = 1
"""... unless the second one carries new calls: others keep their lamps dark until they have heard of them. A press is
usually preceded by news of the car that it sets in motion, and acknowledged by a node that has just had such news."""
REPEAT_MS = 10
REPEATS = 3


@frozen
class Outgoing:
    """The heartbeats of one node."""

    message: Heartbeat | None = None
    """The next one, without its sequence number; None before the first step."""
    repeats: int = 0
    """How many more times it is sent early. REPEATS: it has not been sent yet."""
    is_awaited: bool = False
    """Whether it carries calls that have not been sent yet."""
    sequence: int = 0
    """Heartbeats sent."""
    sent_at_ms: int = 0


def compose(old: Outgoing, message: Heartbeat) -> Outgoing:
    """Send *message* at once if it differs from the last."""
    if message == old.message:
        return old
    is_awaited = old.is_awaited or old.message is None or message.calls != old.message.calls
    return evolve(old, message=message, repeats=REPEATS, is_awaited=is_awaited)


def sent(old: Outgoing, now_ms: int) -> Outgoing:
    repeats = max(old.repeats - 1, 0)
    return evolve(old, sequence=old.sequence + 1, repeats=repeats, is_awaited=False, sent_at_ms=now_ms)


def due_at_ms(outgoing: Outgoing) -> int:
    """Return when the next heartbeat is due."""
    if outgoing.repeats == REPEATS:
        return outgoing.sent_at_ms + (AWAITED_MS if outgoing.is_awaited else COALESCE_MS)
    return outgoing.sent_at_ms + (REPEAT_MS if outgoing.repeats else HEARTBEAT_MS)
