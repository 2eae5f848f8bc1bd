"""Remembers the calls of a group during a test: presses, lamps, and the doors that served them.

A call is a `CallKey`. All panels share the hall calls; a cab call belongs to one car.

A lamp that lights confirms the last press of its button, unless an earlier press is confirmed and not served yet. If
the call was served a moment ago, the lamp confirms no new call: the controller may have learned of the press late. If
the call was served long ago, the controller has invented a call; see `pending`.
"""

from collections.abc import Collection, Iterable

from elevator.core.model import NEVER_MS, Button
from elevator.exam.results import CarEvent

CallKey = tuple[Button, int, int | None]
"""A call: button, floor, and the car of a cab call (None for a hall call)."""


def key_of(event: CarEvent) -> CallKey:
    """Return the call that belongs to the button or lamp of *event*."""
    assert event.button is not None
    assert event.floor is not None
    return event.button, event.floor, event.car if event.button is Button.CAB else None


def name_of(button: Button, floor: int) -> str:
    """Return the name of a call, such as "up call at floor 2" or "cab call for floor 2"."""
    return f"{button.name.lower()} call {'for' if button is Button.CAB else 'at'} floor {floor}"


class CallHistory:
    """The presses, lamps and door openings of a group during a test."""

    def __init__(self, cars: int) -> None:
        self.pressed: dict[CallKey, int] = {}
        """When the button of each call was last pressed."""
        self.lit: list[dict[tuple[Button, int], int]] = [{} for _ in range(cars)]
        """For each car, the lit lamps on its panel, and when each of them lit."""
        self.disturbed_ms = -NEVER_MS
        """The last time when controllers may have been unable to exchange calls, because of a fault or because a
        controller connected or disconnected. Calls made before that may be served twice (G6)."""
        self._changed: dict[CallKey, int] = {}
        """When the button of each call was last pressed or released, or one of its lamps last went dark."""
        self._confirmed: dict[CallKey, int] = {}
        """For each call that a lamp has confirmed, when its button was pressed; see `confirm`."""
        self._closed: dict[tuple[int, int], int] = {}
        """For each car and floor, when the door last closed there; NEVER_MS while it is open."""

    def change_button(self, key: CallKey, is_down: bool, at_ms: int) -> None:
        self._changed[key] = at_ms
        if is_down:
            self.pressed[key] = at_ms

    def darken(self, key: CallKey, car: int, at_ms: int) -> int:
        """Record that the lamp of *key* on the panel of *car* went dark. Return when it lit; *at_ms* if it was dark."""
        self._changed[key] = at_ms
        return self.lit[car].pop(key[:2], at_ms)

    def open_door(self, car: int, floor: int) -> None:
        self._closed[car, floor] = NEVER_MS

    def close_door(self, car: int, at_ms: int) -> None:
        for place in [place for place, ms in self._closed.items() if place[0] == car and ms == NEVER_MS]:
            self._closed[place] = at_ms

    def confirm(self, key: CallKey) -> None:
        """Record that a lamp of *key* lit. It confirms the last press, unless a confirmed press is not served yet."""
        if key not in self._confirmed or self._is_served(key):
            self._confirmed[key] = self.pressed[key]

    def confirmed_ms(self, key: CallKey) -> int | None:
        """Return when the button of the last confirmed call *key* was pressed; None if no lamp has confirmed one."""
        return self._confirmed.get(key)

    def pending(self, key: CallKey, panels: Collection[int], before_ms: int) -> list[CallKey]:
        """Return the calls with the button and floor of *key* that were not over at *before_ms*. Their lamps may light.

        A call is over once a door that can serve it was open after the press, all such doors have closed, and its lamps
        on all *panels* are dark. While one of these lamps is lit, the call may be unserved, because the door may have
        opened for the other direction. If the button is released even later, the call is over only then. A call that
        was made before `disturbed_ms` is never over.
        """
        same = [each for each in self.pressed if each[:2] == key[:2]]
        return [each for each in same if not self._is_over(each, panels, before_ms)]

    def _is_over(self, key: CallKey, panels: Collection[int], before_ms: int) -> bool:
        pressed_ms, doors = self.pressed[key], range(len(self.lit)) if key[2] is None else [key[2]]
        closed_ms = max(self._closed.get((car, key[1]), -NEVER_MS) for car in doors)
        is_left = self._is_shown(key, panels) or self._changed.get(key, -NEVER_MS) >= before_ms
        return self.disturbed_ms < pressed_ms <= closed_ms < before_ms and not is_left

    def unserved(self, healthy: Collection[int], buttons: Collection[Button]) -> list[str]:
        """Return the names of the confirmed calls of the kinds *buttons* that are not served.

        A call is served if a door that can serve it was open after the press, and no *healthy* car's panel shows it.
        Omit cab calls of cars that are not *healthy*.
        """
        return [
            name_of(*key[:2]) + ("" if key[2] is None else f" in car {key[2]}")
            for key in self._confirmed
            if key[0] in buttons
            and (key[2] is None or key[2] in healthy)
            and (not self._is_served(key) or self._is_shown(key, healthy))
        ]

    def was_open(self, floor: int, since_ms: int, cars: Iterable[int]) -> bool:
        """Return whether the door of one of *cars* was open at *floor* at or after *since_ms*."""
        return any(self._closed.get((car, floor), -1) >= since_ms for car in cars)

    def was_served(self, key: CallKey, since_ms: int) -> bool:
        """Return whether a door that can serve *key* was open at its floor at or after *since_ms*."""
        _, floor, only = key
        return self.was_open(floor, since_ms, range(len(self.lit)) if only is None else [only])

    def _is_served(self, key: CallKey) -> bool:
        """Return whether a door that can serve the confirmed call *key* was open after its press."""
        return self.was_served(key, self._confirmed[key])

    def _is_shown(self, key: CallKey, panels: Iterable[int]) -> bool:
        button, floor, car = key
        return any((button, floor) in self.lit[each] for each in (panels if car is None else [car]))
