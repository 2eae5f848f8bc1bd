"""The client's side of a panel, whatever protocol it speaks: its times, and what a reply confirms."""

from elevator.core.model import Motor, Outputs

SWEEP_MS = 10
FRESH_MS = 500
SILENCE_MS = 1000
"""A server that has answered and then takes longer is lost."""
RETRY_MS = 100
BACKLOG_MAX = 1 << 16
"""Bytes that a server may leave unread before it is given up."""


def done(sent: Outputs | None, before: tuple[bool, bool] = (True, True)) -> tuple[bool, bool]:
    """Tell what a panel has done that answers what it was asked after *sent*: opened its door, stopped its motor.

    If it was asked when it had already been told other things, it has done that only as far as *before* says.
    """
    return (False, False) if sent is None else (bool(sent.door) and before[0], sent.motor is Motor.STOP and before[1])
