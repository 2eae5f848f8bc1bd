"""The keys of a simulated elevator in the terminal."""

from attrs import frozen


@frozen
class Keys:
    """The function of each key. A row of buttons has one character per floor, lowest floor first.

    The keys for hall down start at floor 1, the lowest floor with such a button.
    """

    up: str = "qwertyui"
    down: str = "sdfghjkl"
    cab: str = "zxcvbnm,."
    stop: str = "p"
    obstruction: str = "-"
    motor_up: str = "9"
    motor_stop: str = "8"
    motor_down: str = "7"
    inbounds: str = "0"
