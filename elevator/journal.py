"""What a node's log says: one line an event, derived from the values before and after; nothing when nothing happens."""

import logging
from collections.abc import Iterator, Mapping

from elevator.drive import Drive
from elevator.model import Behaviour, Button, Call, Fault
from elevator.node import Node, alive

SECOND_MS = 1000

log = logging.getLogger("elevator")


def news(before: Node, after: Node) -> Iterator[str]:
    """Tell what happened between two values of a node."""
    if after.calls is not before.calls:
        pressed = [call for dot, call in after.calls.live.items() if dot not in before.calls.live]
        known = frozenset(before.calls.live.values())
        yield from (f"{describe(call)} called" for call in pressed if call not in known)
    if after.lit is not before.lit:
        yield from (f"{describe(call)} lit" for call in sorted(after.lit - before.lit))
        kept = {call for dot, call in before.calls.live.items() if dot in after.calls.live}
        for call in sorted(before.lit - after.lit):
            yield f"{describe(call)} {'left to another node' if call in kept else 'served'}"
    if after.peers is not before.peers or after.now_ms != before.now_ms:
        was, now = alive(before), alive(after)
        yield from (f"node {id} is here" for id in sorted(now.keys() - was.keys()))
        yield from (f"node {id} is silent" for id in sorted(was.keys() - now.keys()))
    old, new = before.drive, after.drive
    if new is not old:
        if new.fault is not old.fault:
            yield "in service" if new.fault is Fault.NONE else f"out of service: {new.fault}"
        if (new.behaviour, new.direction, new.announced) != (old.behaviour, old.direction, old.announced):
            yield doing(new)


def doing(car: Drive) -> str:
    """Say what *car* does, and the direction that it has told passengers, if it has."""
    where = "between floors" if car.floor is None else f"at floor {car.floor}"
    direction = car.direction.name.lower()
    match car.behaviour:
        case Behaviour.IDLE:
            return f"at rest {where}"
        case Behaviour.MOVING:
            return f"going {direction}, last {where}"
        case Behaviour.DOOR_OPEN:
            return f"door open {where}" + (f", {direction} announced" if car.announced else "")


def describe(call: Call) -> str:
    if call.button is Button.CAB:
        return f"cab call of car {call.car} to floor {call.floor}"
    return f"hall call {call.button.name.lower()} at floor {call.floor}"


class Complaints:
    """Says what keeps going wrong at most once a second, with how often it did."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._at_ms = -SECOND_MS

    def say(self, counts: Mapping[str, int], now_ms: int) -> None:
        """Log what has grown in *counts* (what: how often so far)."""
        if now_ms < self._at_ms + SECOND_MS or all(self._said.get(what) == n for what, n in counts.items()):
            return
        self._at_ms = now_ms
        for what, n in counts.items():
            more = n - self._said.get(what, 0)
            if more:
                log.warning("%s (%d times)", what, more) if more > 1 else log.warning("%s", what)
        self._said.update(counts)
