"""The keys that operate a simulated elevator in the terminal."""

from attrs import frozen


@frozen
class Keys:
    """The keys for each function. In `up`, `down` and `cab`, each character is the key for one floor.

    `up` and `cab` begin with floor 0; `down` begins with floor 1, the lowest floor with a down button.
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
