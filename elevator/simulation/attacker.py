"""Somebody on the simulated network who means ill: hears everything, and says what nobody said, or said before.

What is sent to a node is one of: noise, a datagram with some bits flipped, the beginning of one, one that this program
has taken in already (just now, or long ago), and one that was made up. Where the group has a key, what is made up is
what a node could say, but sealed otherwise; without a key that would be believed, so there it is of another group or
sealed with some key. Nothing of all this must be taken in.
"""

import random
from collections import deque

from attrs import define, field

from elevator.core.call_set import press
from elevator.core.model import EVERY_CAR, MAX_CARS, Author, Button, Buttons, Call, Calls, Car, Heartbeat
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import Encoder

KEY, WRONG_KEY = b"the key of a simulated group ...", b"another one"
REMEMBERED_MAX = 2000
"""So many datagrams of a program are remembered by who means it ill."""
EVERY_MS = 40
"""The longest time between two attacks on one node."""


@define(eq=False)
class Attacker:
    """Who means ill of a *group* that seals with *key*."""

    group: str
    key: bytes
    floors: int
    rng: random.Random
    _captured: dict[tuple[Author, int, int], bytes] = field(factory=dict)
    """What nodes have said lately, by author, counter and part."""
    _accepted: dict[int, deque[bytes]] = field(factory=dict)
    """What each program has taken in since it was started."""

    def forget_accepted(self, receiver: int) -> None:
        """Remember that a program has just begun. What its predecessor took in is new to it: nobody promises else."""
        self._accepted[receiver] = deque(maxlen=REMEMBERED_MAX)

    def capture(self, heartbeat: Heartbeat, sealed: bytes) -> None:
        """Remember the datagram that says *heartbeat*."""
        self._captured[heartbeat.sender, heartbeat.counter, heartbeat.part] = sealed
        if len(self._captured) > REMEMBERED_MAX:
            del self._captured[next(iter(self._captured))]

    def add_accepted(self, receiver: int, heartbeat: Heartbeat) -> None:
        """Remember what a program has taken in."""
        sealed = self._captured.get((heartbeat.sender, heartbeat.counter, heartbeat.part))
        if sealed is not None:
            self._accepted[receiver].append(sealed)

    def draw(self, receiver: int) -> tuple[str, bytes]:
        """Return what to send to a program, and what that is."""
        rng, known = self.rng, self._accepted[receiver]
        from_known = ("flipped", "truncated", "replayed", "stale") if known else ()
        what = rng.choice(("noise", "forged", *from_known))
        match what:
            case "flipped":
                flipped = bytearray(rng.choice(known))
                for bit in rng.sample(range(8 * len(flipped)), rng.randint(1, 3)):
                    flipped[bit // 8] ^= 1 << bit % 8
                return what, bytes(flipped)
            case "truncated":
                whole = rng.choice(known)
                return what, whole[: rng.randrange(len(whole))]
            case "replayed":
                return what, known[-1 - rng.randrange(min(len(known), 20))]
            case "stale":
                return what, rng.choice(known)
            case "noise":
                return what, rng.randbytes(rng.randrange(300))
            case _:
                return what, self._forge()

    def _forge(self) -> bytes:
        rng = self.rng
        author = Author(rng.randrange(MAX_CARS), rng.randrange(1 << 40))
        calls = press(Calls(), author, Call(Button.UP, rng.randrange(self.floors - 1), EVERY_CAR))
        everything = (1 << self.floors) - 1
        heartbeat = Heartbeat(
            author, 1, self.floors, Car(), Buttons(everything, everything), (1 << MAX_CARS) - 1, calls
        )
        key = rng.choice((NO_KEY, WRONG_KEY))
        group = "another" if key == self.key else self.group
        return seal(Encoder(group).encode(heartbeat)[0], key)
