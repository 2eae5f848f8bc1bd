"""The result of one check of `elevator doctor`."""

from attrs import frozen


@frozen
class Finding:
    """What a check found. If `good` is false, `text` describes a problem and ends with advice."""

    good: bool
    text: str
