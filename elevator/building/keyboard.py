"""The keys that operate a simulated elevator in the terminal."""

from attrs import frozen


@frozen
class Keys:
    """The keys for each function. `up`, `down` and `cab` have one key per floor, lowest floor first.

    `down` starts at floor 1, the lowest floor with a down button.
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
