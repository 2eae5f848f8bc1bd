"""The requests of the control socket: one JSON object a line, checked before anything changes."""

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal, TypeVar

from attrs import frozen
from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError

LINE_LIMIT = 65_536
"""Longest line that the control socket takes, in bytes; a longer one ends the connection."""


@frozen
class PressButton:
    """Press a button for *ms* milliseconds, 200 by default; or hold it down (*held* true) or let go of it (false)."""

    car: int
    button: Literal["up", "down", "cab"]
    floor: int
    ms: int | None = None
    held: bool | None = None


@frozen
class Switch:
    """Turn something *on* or off."""

    car: int
    on: bool


@frozen
class Put:
    """Set the car down at a height of *floor* floors, such as 1.5; its motor command stays in force."""

    car: int
    floor: float


@frozen
class PutBack:
    """Bring a car that is out of bounds to the nearest floor."""

    car: int


@frozen
class State:
    """Tell everything about one car, or about all."""

    car: int | None = None


@frozen
class Events:
    """Tell the events from number *since* on."""

    since: int = 0


Request = PressButton | Switch | Put | PutBack | State | Events
REQUESTS: Mapping[str, type[Request]] = {
    "press": PressButton,
    "stop": Switch,
    "obstruct": Switch,
    "power": Switch,
    "server": Switch,
    "deaf": Switch,
    "card": Switch,
    "put": Put,
    "put_back": PutBack,
    "state": State,
    "events": Events,
}
"""Switches: the stop button, the obstruction switch, the motor's power, the server (off: nothing listens and the client
is dropped), deafness (the connection stays, and nothing is read or answered), and an I/O card's plug."""


def _exactly(wanted: type) -> Callable[[object, object], object]:
    def check(value: object, _: object) -> object:
        if type(value) is not wanted:
            raise TypeError(f"not {'a number' if wanted is int else 'true or false'}")
        return value

    return check


def _number(value: object, _: object) -> float:
    if type(value) not in (int, float) or not isfinite(value):  # type: ignore[arg-type]  # the first test settles it
        raise TypeError("not a number")
    return float(value)  # type: ignore[arg-type]


_converter = Converter(forbid_extra_keys=True)
_converter.register_structure_hook(int, _exactly(int))
_converter.register_structure_hook(bool, _exactly(bool))
_converter.register_structure_hook(float, _number)


class Refused(Exception):
    """What was asked for is not possible; the text says why, on one line."""


R = TypeVar("R")


def parse(line: bytes, known: Mapping[str, type[R]]) -> tuple[str, R]:
    """Return the name and the contents of what *line* asks for, which must be one of *known*, or raise Refused."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(request, dict) or not isinstance(name := request.pop("do", None), str) or name not in known:
        raise Refused(f'not an object with "do" of {", ".join(known)}')
    try:
        return name, _converter.structure(request, known[name])
    except (BaseValidationError, OverflowError) as error:
        raise Refused("; ".join(transform_error(error, path=name))) from None
