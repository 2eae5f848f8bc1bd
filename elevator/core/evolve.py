"""Faster versions of `frozen` and `evolve` from attrs, for the immutable values on the hottest paths.

mypy rejects every assignment to a field of a `frozen` class, but nothing rejects it at run time. The `frozen` of attrs
also rejects it at run time, so its instances take four to seven times as long to create. A class with cached properties
needs `slots=False`. Otherwise attrs would add a __getattr__, which makes Python look up every field the slow way.

`attrs.evolve` reads the unchanged fields in a loop in Python. Here, `evolve` reads all fields at once, in C, so copying
a Node takes half the time.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from attrs import define, fields

if TYPE_CHECKING:  # mypy checks the names and types of the changes only for attrs.evolve.
    from attrs import evolve as evolve  # noqa: PLC0414  This marks the name as exported.
    from attrs import frozen as frozen  # noqa: PLC0414
else:
    frozen = partial(define, unsafe_hash=True)

    def evolve(value: Any, **changes: Any) -> Any:
        """Return a copy of *value*, an instance of an attrs class, with the fields in *changes* replaced."""
        kind = value.__class__
        read, places = layout(kind)
        values = list(read(value))
        for name, new in changes.items():
            values[places[name]] = new
        return kind(*values)


@cache
def layout(kind: Any) -> tuple[Callable[[Any], tuple[object, ...]], Mapping[str, int]]:
    """Return a function that reads all fields of an instance of *kind*, and the index of each field in its result."""
    names = [field.name for field in fields(kind)]
    assert all(field.init and not field.kw_only for field in fields(kind)), kind
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda value: (read(value),), {name: n for n, name in enumerate(names)}
