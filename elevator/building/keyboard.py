"""The keys of a simulated elevator in the terminal."""

from attrs import frozen


@frozen
class Keys:
    """The keys of the terminal: a character for each floor, lowest first, or a single one.

    The keys for hall down begin with floor 1, the lowest that has such a button.
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
