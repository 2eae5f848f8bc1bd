"""An attacker on the simulated network. It creates datagrams that the nodes must reject.

They are random bytes, damaged or truncated copies of valid datagrams, replays, and forged heartbeats. A replay repeats
a datagram that the receiver has accepted, recently or long ago. In a group with a key, a forged heartbeat is sealed
with another key or with NO_KEY. In a group without a key, it is sealed with a key or names another group.
"""

import random
from collections.abc import Sequence

from attrs import define

from elevator.core.call_set import press
from elevator.core.messages import Heartbeat
from elevator.core.model import EVERY_CAR, MAX_CARS, Author, Button, Buttons, Call, Calls, Car
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import encode

KEY, WRONG_KEY = b"the key of a simulated group ...", b"another one"
EVERY_MS = 40
"""The longest time between two attacks on the group. Each attack sends every running node one datagram."""


@define(eq=False)
class Attacker:
    """An attacker on `group`, whose nodes seal their datagrams with `key`; NO_KEY if the group has no key."""

    group: str
    key: bytes
    floors: int
    rng: random.Random

    def draw(self, known: Sequence[Heartbeat]) -> tuple[str, bytes]:
        """Return the kind and datagram of the next attack on a receiver that has accepted the heartbeats *known*."""
        rng = self.rng
        from_known = ("flipped", "truncated", "replayed", "stale") if known else ()
        what = rng.choice(("noise", "forged", *from_known))
        match what:
            case "flipped":
                flipped = bytearray(self._sealed(rng.choice(known)))
                for bit in rng.sample(range(8 * len(flipped)), rng.randint(1, 3)):
                    flipped[bit // 8] ^= 1 << bit % 8
                return what, bytes(flipped)
            case "truncated":
                whole = self._sealed(rng.choice(known))
                return what, whole[: rng.randrange(len(whole))]
            case "replayed":
                return what, self._sealed(known[-1 - rng.randrange(min(len(known), 20))])
            case "stale":
                return what, self._sealed(rng.choice(known))
            case "noise":
                return what, rng.randbytes(rng.randrange(300))
            case _:
                return what, self._forge()

    def _sealed(self, heartbeat: Heartbeat) -> bytes:
        """Return the datagram that contained *heartbeat*."""
        return seal(encode(heartbeat, self.group), self.key)

    def _forge(self) -> bytes:
        rng = self.rng
        author = Author(rng.randrange(MAX_CARS), rng.randrange(1 << 40))
        calls = press(Calls(), author, Call(Button.UP, rng.randrange(self.floors - 1), EVERY_CAR))
        everything = (1 << self.floors) - 1
        heartbeat = Heartbeat(
            author, 1, self.floors, Car(), Buttons(everything, everything), (1 << MAX_CARS) - 1, calls, calls.digest
        )
        key = rng.choice((NO_KEY, WRONG_KEY))
        group = "another" if key == self.key else self.group
        return seal(encode(heartbeat, group), key)
