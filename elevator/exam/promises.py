"""What the lamps of a group have promised: which calls were lit, and whether a door has been open at their floor since.

A call is a `Key`. All panels share the hall calls; a cab call belongs to the car in which it was made.

A lamp promises to serve the last press of its button. So a lamp that lights again after its call was served promises
nothing new: it may be late news, or a lamp test. If it cannot be that, the call was invented; see `pending`.
"""

from collections.abc import Collection, Iterable

from elevator.core.model import NEVER_MS, Button
from elevator.exam.results import Seen

Key = tuple[Button, int, int | None]
"""A call: button, floor, and for a cab call its car."""


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
        self.disturbed_ms = -NEVER_MS
        """Until when something failed. The calls made before may be served twice (G6)."""
        self._changed: dict[Key, int] = {}
        """When the button of each call was last pressed or released, or a lamp of it last went dark."""
        self._promised: dict[Key, int] = {}
        """For each call whose lamp was lit, when its button was pressed."""
        self._opened: dict[tuple[int, int], int] = {}
        """For each car and floor, when the door last closed there; a time in the future if it is open."""

    def change_button(self, key: Key, is_down: bool, at_ms: int) -> None:
        self._changed[key] = at_ms
        if is_down:
            self.pressed[key] = at_ms

    def darken(self, key: Key, car: int, at_ms: int) -> int:
        """Record that the lamp of *key* on the panel of *car* went dark. Return when it had been lit."""
        self._changed[key] = at_ms
        return self.lit[car].pop(key[:2], at_ms)

    def open_door(self, car: int, floor: int) -> None:
        self._opened[car, floor] = NEVER_MS

    def close_door(self, car: int, at_ms: int) -> None:
        for at in [at for at, closed in self._opened.items() if at[0] == car and closed == NEVER_MS]:
            self._opened[at] = at_ms

    def promise(self, key: Key) -> None:
        """Record that a lamp of *key* lit after a press of its button."""
        if self._is_kept(key):
            self._promised[key] = self.pressed[key]

    def promised_ms(self, key: Key) -> int | None:
        """Return when the call was made that lamps have promised to serve; None if no lamp has lit for it."""
        return self._promised.get(key)

    def pending(self, key: Key, panels: Collection[int], before_ms: int) -> list[Key]:
        """Return the calls with the button and floor of *key* that were not over *before_ms*, so that lamps may light.

        A call is over once a door that serves it has been open since the press and is closed, and all *panels* are
        dark: controllers that show a call may know that it is not served, such as one for the other direction. It is
        never over if something has failed since the press.
        """
        same = [each for each in self.pressed if each[:2] == key[:2]]
        return [each for each in same if not self._is_over(each, panels, before_ms)]

    def _is_over(self, key: Key, panels: Collection[int], before_ms: int) -> bool:
        pressed_ms, doors = self.pressed[key], range(len(self.lit)) if key[2] is None else [key[2]]
        closed_ms = max(self._opened.get((car, key[1]), -NEVER_MS) for car in doors)
        is_left = self._is_shown(key, panels) or self._changed.get(key, -NEVER_MS) >= before_ms
        return self.disturbed_ms < pressed_ms <= closed_ms < before_ms and not is_left

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
