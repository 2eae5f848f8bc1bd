"""Singular and plural in messages."""


def counted(number: int, noun: str) -> str:
    """Return *number* and *noun*. The noun is plural unless the number is 1: "1 press", "2 presses"."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
