"""The requests to a simulated building: their types and their parser.

The control socket accepts all of them. The page may send most of them: see occupied_building.py.

A request is a JSON object such as `{"do": "stop", "car": 0, "on": true}`. `parse` checks the names and types of its
fields. operations.py checks their values before it changes anything.
"""

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal, TypeVar, get_args, get_origin

from attrs import frozen
from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError
from cattrs.v import format_exception

LINE_LIMIT = 65_536
"""Maximum length of a request on the control socket, in bytes. A client that exceeds it is disconnected."""


@frozen
class PressButton:
    """Press a button for `ms` milliseconds (default: `press_ms` of the building).

    If `held` is not None, hold the button down (true) or release it (false) instead. Then `ms` must be None.
    """

    car: int
    button: Literal["up", "down", "cab"]
    floor: int
    ms: int | None = None
    held: bool | None = None


@frozen
class Switch:
    """Turn a switch on or off. The request's name selects the switch; see REQUESTS."""

    car: int
    on: bool


@frozen
class Put:
    """Place the car at height `floor` at once; 1.5 is halfway between floors 1 and 2.

    The motor keeps its command, unless the car was out of bounds: then the motor stops.
    """

    car: int
    floor: float


@frozen
class PutBack:
    """If the car is out of bounds, move it to the nearest floor and stop its motor."""

    car: int


@frozen
class State:
    """Ask for the state of `car`, or of all cars if `car` is None."""

    car: int | None = None


@frozen
class Events:
    """Ask for the events from number `since` on; see `History.since`."""

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
"""For each request name, the type of the request. The requests of type `Switch` operate:

- `stop`: the stop button, held down while it is on;
- `obstruct`: the obstruction switch;
- `power`: the motor's power;
- `server`: the elevator server; turning it off closes its connection and its port;
- `deaf`: if on, the server keeps its connection but does not serve it, and accepts no other;
- `card`: the I/O card, plugged in (on) or unplugged (off).
"""


class Refused(Exception):
    """A request cannot be executed, or a building, page or demo cannot be set up. The message is a one-line reason."""


def _exactly(wanted: type) -> Callable[[object, object], object]:
    def check(value: object, _: object) -> object:
        if type(value) is not wanted:
            raise Refused(f"must be {'a whole number' if wanted is int else 'true or false'}")
        return value

    return check


def _number(value: object, _: object) -> float:
    if type(value) not in (int, float) or not isfinite(value):  # type: ignore[arg-type]  # type() has checked it
        raise Refused("must be a finite number")
    return float(value)  # type: ignore[arg-type]


_converter = Converter(forbid_extra_keys=True)
_converter.register_structure_hook(int, _exactly(int))
_converter.register_structure_hook(bool, _exactly(bool))
_converter.register_structure_hook(float, _number)


R = TypeVar("R")


def parse(line: bytes, known: Mapping[str, type[R]]) -> tuple[str, R]:
    """Parse a request whose name is in *known*. Return its name and content; raise Refused if it is invalid."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("the request is not valid JSON") from None
    if not isinstance(request, dict) or not isinstance(name := request.pop("do", None), str) or name not in known:
        raise Refused(f'the request must be a JSON object whose "do" is one of: {", ".join(known)}')
    try:
        return name, _converter.structure(request, known[name])
    except (BaseValidationError, OverflowError) as error:
        problems = transform_error(error, path=name, format_exception=_describe)
        raise Refused("; ".join(map(_with_field_first, problems))) from None


def _with_field_first(problem: str) -> str:
    """Turn "problem @ field", as cattrs writes it, into "field: problem"."""
    what, _, field = problem.rpartition(" @ ")
    return f"{field}: {what}"


def _describe(error: BaseException, wanted: type | None) -> str:
    """Return an error message about an invalid field of a request."""
    if get_origin(wanted) is Literal and not isinstance(error, KeyError):
        return f"must be one of: {', '.join(get_args(wanted))}"
    return str(error) if isinstance(error, Refused) else format_exception(error, wanted)
