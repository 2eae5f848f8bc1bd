"""The next heartbeat of a node: its content, and when it is due. Pure.

Without changes a heartbeat is due every HEARTBEAT_MS. A change is sent immediately and repeated REPEATS - 1 times, so a
lost datagram delays it by REPEAT_MS only.
"""

from attrs import evolve, frozen

from elevator.core.model import Heartbeat
from elevator.core.peers import HEARTBEAT_MS

COALESCE_MS = 5
"""The minimum time from one heartbeat to the next with a change, so that changes in quick succession share one."""
AWAITED_MS = 1
"""The minimum time from one heartbeat to the next if the calls have changed. It is shorter because lamps wait for this.
Often a heartbeat has just been sent, because a press also sets a car in motion."""
REPEAT_MS = 10
REPEATS = 3


@frozen
class Outgoing:
    """The next heartbeat, and its schedule."""

    message: Heartbeat | None = None
    """The next heartbeat, without its sequence number; None before the first step."""
    repeats: int = 0
    """How many more times to send the message early. REPEATS means that it has not been sent yet."""
    is_awaited: bool = False
    """True if the message contains a change of the calls that has not been sent yet."""
    sequence: int = 0
    """The sequence number of the last heartbeat sent."""
    sent_at_ms: int = 0


def compose(old: Outgoing, message: Heartbeat) -> Outgoing:
    """Make *message* the next heartbeat. If it differs from the last one, it is sent early."""
    if message == old.message:
        return old
    is_awaited = old.is_awaited or old.message is None or message.calls != old.message.calls
    return evolve(old, message=message, repeats=REPEATS, is_awaited=is_awaited)


def sent(old: Outgoing, now_ms: int) -> Outgoing:
    repeats = max(old.repeats - 1, 0)
    return evolve(old, sequence=old.sequence + 1, repeats=repeats, is_awaited=False, sent_at_ms=now_ms)


def due_at_ms(outgoing: Outgoing) -> int:
    if outgoing.repeats == REPEATS:
        return outgoing.sent_at_ms + (AWAITED_MS if outgoing.is_awaited else COALESCE_MS)
    return outgoing.sent_at_ms + (REPEAT_MS if outgoing.repeats else HEARTBEAT_MS)
