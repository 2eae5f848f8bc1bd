"""What a check of the doctor found."""

from attrs import frozen


@frozen
class Finding:
    """What was found; if it is not *good* it says what to do."""

    good: bool
    text: str
