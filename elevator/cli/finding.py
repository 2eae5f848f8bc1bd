"""The result of one of the doctor's checks."""

from attrs import frozen


@frozen
class Finding:
    """What a check found. If *good* is false, *text* describes a problem and ends with advice."""

    good: bool
    text: str
