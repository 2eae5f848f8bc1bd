"""Strict conversion of parsed JSON and TOML into typed values, for records and settings."""

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
"""The exceptions with which `read_record` rejects invalid text, including those of json and cattrs."""


def strict_converter(*primitives: type, detailed: bool = False) -> cattrs.Converter:
    """Return a converter that rejects unknown keys, and never converts a value to one of *primitives*.

    cattrs alone reads "3" as 3. Here, a value for a type in *primitives*, or for an enum derived from one, must already
    be of exactly that type. If *detailed* is true, an error names all invalid fields.
    """
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
