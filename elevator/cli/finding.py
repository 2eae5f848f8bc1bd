"""The result of one of the doctor's checks."""

from attrs import frozen


@frozen
class Finding:
    """What a check found. If it is not *good*, the text ends with advice."""

    good: bool
    text: str
