"""What the lamps of a group have promised: which calls were lit, and whether a door has been open at their floor since.

A call is a `Key`. All panels share the hall calls; a cab call belongs to the car in which it was made.

A lamp promises to serve the last press of its button. So a lamp that lights again after its call was served promises
nothing new: it may be late news, or a lamp test.
"""

from collections.abc import Collection, Iterable

from elevator.core.model import Button
from elevator.exam.results import Seen

Key = tuple[Button, int, int | None]
"""A call: button, floor, and for a cab call its car."""
_STILL_OPEN_MS = 2**62


def key_of(seen: Seen) -> Key:
    """Return the call that a press or a lamp concerns."""
    assert seen.button is not None
    assert seen.floor is not None
    return seen.button, seen.floor, seen.car if seen.button is Button.CAB else None


def name_of(button: Button, floor: int) -> str:
    return f"{button.name.lower()} at floor {floor}"


class Promises:
    """The calls of a group, and the doors that serve them."""

    def __init__(self, cars: int) -> None:
        self.pressed: dict[Key, int] = {}
        """When the button of each call was last pressed."""
        self.lit: list[dict[tuple[Button, int], int]] = [{} for _ in range(cars)]
        """For each car, the lit lamps of its panel, and since when."""
        self._promised: dict[Key, int] = {}
        """For each call whose lamp was lit, when its button was pressed."""
        self._opened: dict[tuple[int, int], int] = {}
        """For each car and floor, when the door last closed there; a time in the future if it is open."""

    def open_door(self, car: int, floor: int) -> None:
        self._opened[car, floor] = _STILL_OPEN_MS

    def close_door(self, car: int, at_ms: int) -> None:
        for at in [at for at, closed in self._opened.items() if at[0] == car and closed == _STILL_OPEN_MS]:
            self._opened[at] = at_ms

    def promise(self, key: Key) -> None:
        """Take note that a lamp of *key* lit, whose button has been pressed."""
        if self._is_kept(key):
            self._promised[key] = self.pressed[key]

    def promised_ms(self, key: Key) -> int | None:
        """Return when the press was that lamps have promised to serve; None if there is none."""
        return self._promised.get(key)

    def unkept(self, sound: Collection[int], buttons: Collection[Button]) -> list[str]:
        """Return the calls of *buttons* whose lamp was lit and that are not served. Omit cab calls of unsound cars.

        A call is served if a door has been open at its floor since the press, and no sound panel still shows it.
        """
        return [
            name_of(*key[:2]) + ("" if key[2] is None else f" of car {key[2]}")
            for key in self._promised
            if key[0] in buttons
            and (key[2] is None or key[2] in sound)
            and (not self._is_kept(key) or self._is_shown(key, sound))
        ]

    def was_open(self, floor: int, since_ms: int, cars: Iterable[int]) -> bool:
        """Report whether the door of one of *cars* has been open at *floor* since *since_ms*."""
        return any(self._opened.get((car, floor), -1) >= since_ms for car in cars)

    def was_served(self, key: Key, since_ms: int) -> bool:
        """Report whether a door that serves *key* has been open since *since_ms*."""
        _, floor, only = key
        return self.was_open(floor, since_ms, range(len(self.lit)) if only is None else [only])

    def _is_kept(self, key: Key) -> bool:
        return key not in self._promised or self.was_served(key, self._promised[key])

    def _is_shown(self, key: Key, sound: Iterable[int]) -> bool:
        button, floor, car = key
        panels = sound if car is None else [car]
        return any((button, floor) in self.lit[each] for each in panels)
