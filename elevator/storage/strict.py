"""Strict parsing of structured text: records and settings."""

from collections.abc import Callable

import cattrs

BAD_INPUT = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    cattrs.BaseValidationError,
    cattrs.ForbiddenExtraKeysError,
)
"""The exceptions that json, cattrs and the parsers of this project raise for invalid input."""


def strict_converter(*primitives: type, detailed: bool = False) -> cattrs.Converter:
    """Return a converter that accepts *primitives* only with their exact type. cattrs alone reads "3" as 3."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=detailed)

    def exactly(primitive: type) -> Callable[[object, type], object]:
        def check(value: object, kind: type) -> object:
            if type(value) is not primitive:
                raise TypeError(f"{value!r} is not of type {primitive.__name__}")
            return kind(value)  # *kind* is the primitive itself, or an enum derived from it.

        return check

    for primitive in primitives:
        converter.register_structure_hook(primitive, exactly(primitive))
    return converter
