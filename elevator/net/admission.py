"""The check of received datagrams: only those that are sealed, of this group, well formed and new are admitted.

An author, which is one incarnation of a node, numbers its heartbeats. A datagram is dropped if its number is not higher
than the highest one received from its author: it was reordered, duplicated or replayed. Otherwise an attacker could
make a dead node appear alive by replaying its datagrams.

`elevator doctor` broadcasts probes to the group's port. Nodes drop them without counting them.
"""

from collections.abc import Sequence

from attrs import define, field

from elevator.core.messages import Heartbeat
from elevator.core.model import Author
from elevator.net.seal import NO_KEY, SealError, unseal
from elevator.net.wire import decode, refusal

PROBE, PROBE_BYTES = b"elevator-probe ", 31
"""The start of a probe, and the length of a whole probe in bytes. The rest of a probe is random."""
AUTHORS_MAX = 4096
"""The maximum number of remembered authors, enough for thousands of restarts. If there are more, the author that was
heard from least recently is forgotten, and its old heartbeats would be admitted again."""
REORDER_MAX = 64
"""An old heartbeat counts as reordered or duplicated if its number is at most this much below its author's newest, else
as replayed."""


def is_probe(datagram: bytes) -> bool:
    return len(datagram) == PROBE_BYTES and datagram.startswith(PROBE)


@define(eq=False)
class Admission:
    """Admits new heartbeats of one `group` that are sealed with one of the `keys`."""

    group: str
    keys: Sequence[bytes] = (NO_KEY,)
    refused: dict[str, int] = field(factory=dict)
    """How many datagrams were dropped for each reason. The keys are the reasons. Probes are not counted, nor are old
    heartbeats within REORDER_MAX of their author's newest."""
    _newest: dict[Author, int] = field(factory=dict)
    """The highest sequence number received from each remembered author. The author heard from last comes last."""

    def admit(self, sealed: bytes) -> Heartbeat | None:
        """Return the heartbeat in a datagram, or None if the datagram must be dropped."""
        heartbeat = self.read(sealed)
        return heartbeat if heartbeat is not None and self.note_new(heartbeat) else None

    def read(self, sealed: bytes) -> Heartbeat | None:
        """Return the heartbeat in a datagram of this group, new or old.

        For any other datagram, return None, and count it unless it is a probe.
        """
        if is_probe(sealed):
            return None
        try:
            datagram = unseal(sealed, self.keys)
        except SealError as error:
            self._count(str(error))
            return None
        heartbeat = decode(datagram, self.group)
        if heartbeat is None:
            self._count(refusal(datagram, self.group))
        return heartbeat

    def note_new(self, heartbeat: Heartbeat) -> bool:
        """Return whether *heartbeat* is new. If so, remember its number; if it was replayed, count it."""
        newest = self._newest.pop(heartbeat.sender, heartbeat.sequence - 1)
        is_new = heartbeat.sequence > newest
        if newest - heartbeat.sequence > REORDER_MAX:
            self._count("replayed")
        self._newest[heartbeat.sender] = max(newest, heartbeat.sequence)
        if len(self._newest) > AUTHORS_MAX:
            del self._newest[next(iter(self._newest))]
        return is_new

    def _count(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1
