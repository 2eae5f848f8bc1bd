"""The elevator server's protocol from the server's side: how the lab's servers read a message. Pure."""

from elevator.model import Motor

MESSAGE = 4
"""Length of a request and of a reply, in bytes."""


def motor_direction(byte: int) -> Motor:
    """Return the direction that the lab's servers read in *byte*, which is signed to them: up above 0, down below."""
    if byte == 0:
        return Motor.STOP
    return Motor.UP if byte < 128 else Motor.DOWN
