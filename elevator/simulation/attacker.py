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

KEY, ANOTHER = b"the key of a simulated group ...", b"another one"
REMEMBERED = 2000
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
    _overheard: dict[tuple[Author, int, int], bytes] = field(factory=dict)
    """What nodes have said lately, by author, counter and part."""
    _taken_in: dict[int, deque[bytes]] = field(factory=dict)
    """What each program has taken in since it was started."""

    def note_start(self, receiver: int) -> None:
        """Remember that a program has just begun. What its predecessor took in is new to it: nobody promises else."""
        self._taken_in[receiver] = deque(maxlen=REMEMBERED)

    def overhear(self, heartbeat: Heartbeat, sealed: bytes) -> None:
        """Remember the datagram that says *heartbeat*."""
        self._overheard[heartbeat.sender, heartbeat.sequence, heartbeat.part] = sealed
        if len(self._overheard) > REMEMBERED:
            del self._overheard[next(iter(self._overheard))]

    def note(self, receiver: int, heartbeat: Heartbeat) -> None:
        """Remember what a program has taken in."""
        sealed = self._overheard.get((heartbeat.sender, heartbeat.sequence, heartbeat.part))
        if sealed is not None:
            self._taken_in[receiver].append(sealed)

    def draw(self, receiver: int) -> tuple[str, bytes]:
        """Return what to send to a program, and what that is."""
        rng, known = self.rng, self._taken_in[receiver]
        of_known = ("flipped", "truncated", "replayed", "stale") if known else ()
        what = rng.choice(("noise", "forged", *of_known))
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
        said = Heartbeat(author, 1, self.floors, Car(), Buttons(everything, everything), (1 << MAX_CARS) - 1, calls)
        key = rng.choice((NO_KEY, ANOTHER))
        group = "another" if key == self.key else self.group
        return seal(Encoder(group).encode(said)[0], key)
