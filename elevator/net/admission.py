"""What gets in from the network: datagrams that are sealed, of the group, well formed, and new.

An author's heartbeats count up, so one with a lower counter than the newest heard, or a part of the newest that was
heard already, is a copy or comes late, and says nothing that the newest does not. It stays outside: a recording of a
node that has died does not bring it back to life. Each run of a program is an author of its own and begins anew.

`elevator doctor` broadcasts probes to the group's port. Nodes of every group receive them and drop them uncounted.
"""

from collections.abc import Sequence

from attrs import define, field

from elevator.core.model import Author, Heartbeat
from elevator.net.seal import NO_KEY, Unsealed, unseal
from elevator.net.wire import decode

PROBE, PROBE_BYTES = b"elevator-probe ", 31
"""How a probe begins, and its length. The rest of it is random."""
AUTHORS_MAX = 4096
"""So many authors are remembered, those heard last: thousands of restarts."""
LATE_MAX = 64
"""Networks that double or reorder datagrams do so within so many heartbeats; older ones have been kept by somebody."""


def is_probe(datagram: bytes) -> bool:
    return len(datagram) == PROBE_BYTES and datagram.startswith(PROBE)


@define(eq=False)
class Admission:
    """The way in to one node of a *group* that has *keys*; none: a group without."""

    group: str
    keys: Sequence[bytes] = (NO_KEY,)
    refused: dict[str, int] = field(factory=dict)
    """How many datagrams came that were not taken, by what they are."""
    _newest: dict[Author, tuple[int, int]] = field(factory=dict)
    """Of each author the newest counter, and a mask of the parts of that heartbeat; the author heard last is last."""

    def admit(self, sealed: bytes) -> Heartbeat | None:
        """Return what a datagram says; None if it stays outside."""
        heartbeat = self.read(sealed)
        return heartbeat if heartbeat is not None and self.is_new(heartbeat) else None

    def read(self, sealed: bytes) -> Heartbeat | None:
        """Do the same for a datagram that need not be new."""
        if is_probe(sealed):
            return None
        try:
            heartbeat = decode(unseal(sealed, self.keys), self.group)
        except Unsealed as why:
            self._refuse(str(why))
            return None
        if heartbeat is None:
            self._refuse("not of this group")
        return heartbeat

    def is_new(self, heartbeat: Heartbeat) -> bool:
        """Tell whether *heartbeat* has not been heard yet, nor a newer one of its author; from now on it has."""
        counter, part = heartbeat.counter, 1 << heartbeat.part
        newest, parts = self._newest.pop(heartbeat.sender, (counter, 0))
        is_new = counter > newest or (counter == newest and not parts & part)
        if counter > newest:
            newest, parts = counter, part
        elif is_new:
            parts |= part
        elif newest - counter > LATE_MAX:
            self._refuse("recorded before")
        self._newest[heartbeat.sender] = newest, parts
        if len(self._newest) > AUTHORS_MAX:
            del self._newest[next(iter(self._newest))]
        return is_new

    def _refuse(self, why: str) -> None:
        self.refused[why] = self.refused.get(why, 0) + 1
