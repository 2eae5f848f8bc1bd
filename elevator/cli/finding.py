"""The result of one of the doctor's checks."""

from attrs import frozen


@frozen
class Finding:
    """A result; if it is not *good*, the text says what to do."""

    good: bool
    text: str
