"""What a node's log says: one line an event, derived from the values before and after; nothing when nothing happens.

`news` reports every change. A `Journal` reports the same, but leaves out most of what flaps (see log_damping.py).
"""

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from attrs import define, field

from elevator.core.drive import Drive
from elevator.core.log_damping import Condition
from elevator.core.model import Behaviour, Button, Call, Fault
from elevator.core.node import Node, alive

GAP_MS, GAP_MAX_MS = 1000, 60_000

log = logging.getLogger("elevator")


def news(before: Node, after: Node) -> Iterator[str]:
    """Describe every change between two values of a node."""
    yield from calls_news(before, after)
    if after.peers is not before.peers or after.now_ms != before.now_ms:
        was, now = alive(before).keys(), alive(after).keys()
        yield from (presence(id, is_here=True) for id in sorted(now - was))
        yield from (presence(id, is_here=False) for id in sorted(was - now))
    old, new = before.drive, after.drive
    if new is not old:
        if new.fault is not old.fault:
            yield service({new.fault} - {Fault.NONE})
        if has_acted(old, new):
            yield doing(new)


def calls_news(before: Node, after: Node) -> Iterator[str]:
    if after.calls is not before.calls:
        pressed = [call for dot, call in after.calls.live.items() if dot not in before.calls.live]
        known = frozenset(before.calls.live.values())
        yield from (f"{describe(call)} called" for call in pressed if call not in known)
    if after.lit is not before.lit:
        yield from (f"{describe(call)} lit" for call in sorted(after.lit - before.lit))
        kept = {call for dot, call in before.calls.live.items() if dot in after.calls.live}
        for call in sorted(before.lit - after.lit):
            yield f"{describe(call)} {'left to another node' if call in kept else 'served'}"


@define(eq=False)
class Journal:
    """Reports what happens to one node, and damps what flaps: its peers, and whether its car is in service."""

    _peers: dict[int, Condition] = field(factory=dict)
    _unsettled: frozenset[int] = frozenset()
    """Peers that are not as they were last reported."""
    _faults: dict[Fault, Condition] = field(factory=lambda: {Fault.SERVER: Condition(is_failing=True)})
    _fault: Fault = Fault.SERVER
    _has_acted: bool = False
    """Whether what the car does now is still to be logged."""

    def news(self, before: Node, after: Node) -> Iterator[str]:
        """Return the lines to log for a turn from *before* to *after*. It must be called for every turn, in order."""
        yield from calls_news(before, after)
        yield from self._presences(before, after)
        yield from self._service(after)
        # A floor sensor that flickers sets the car going and stops it each time.
        position = self._faults.get(Fault.POSITION)
        self._has_acted = self._has_acted or has_acted(before.drive, after.drive)
        if self._has_acted and not (position and position.damped_ms):
            self._has_acted = False
            yield doing(after.drive)

    def _presences(self, before: Node, after: Node) -> Iterator[str]:
        was, now = alive(before).keys(), alive(after).keys()
        unsettled = set()
        for id in sorted((was ^ now) | self._unsettled):
            condition = self._peers.setdefault(id, Condition(is_failing=None))
            report = condition.feed(after.now_ms, id not in now)
            if report is not None:
                yield presence(id, not report.begins) + report.note
            if condition.is_failing is not (id not in now):
                unsettled.add(id)
        self._unsettled = frozenset(unsettled)

    def _service(self, after: Node) -> Iterator[str]:
        before, self._fault = self._fault, after.drive.fault
        reported = {each for each, condition in self._faults.items() if condition.is_failing}
        if self._fault is before and reported == {before} - {Fault.NONE}:
            return  # nothing has changed, and no report is held back
        if self._fault is not Fault.NONE:
            self._faults.setdefault(self._fault, Condition())
        reports = [condition.feed(after.now_ms, each is self._fault) for each, condition in self._faults.items()]
        notes = "".join(report.note for report in reports if report is not None)
        if any(reports):
            yield service({each for each, condition in self._faults.items() if condition.is_failing}) + notes


def presence(id: int, is_here: bool) -> str:
    return f"node {id} is {'here' if is_here else 'silent'}"


def service(faults: set[Fault]) -> str:
    return f"out of service: {', '.join(sorted(faults))}" if faults else "in service"


def has_acted(old: Drive, new: Drive) -> bool:
    """Tell whether a car does something else, or has told passengers something."""
    return (new.behaviour, new.direction, new.door.announced) != (old.behaviour, old.direction, old.door.announced)


def doing(car: Drive) -> str:
    """Say what *car* does, and the direction that it has told passengers, if it has."""
    where = "between floors" if car.position.floor is None else f"at floor {car.position.floor}"
    direction = car.direction.name.lower()
    match car.behaviour:
        case Behaviour.IDLE:
            return f"at rest {where}"
        case Behaviour.MOVING:
            return f"going {direction}, last {where}"
        case Behaviour.DOOR_OPEN:
            return f"door open {where}" + (f", {direction} announced" if car.door.announced else "")


def describe(call: Call) -> str:
    if call.button is Button.CAB:
        return f"cab call of car {call.car} to floor {call.floor}"
    return f"hall call {call.button.name.lower()} at floor {call.floor}"


class Complaints:
    """Says what keeps going wrong, with how often: at once, then after 1, 2, 4 s and so on, down to once a minute."""

    def __init__(self) -> None:
        self._said: dict[str, Complaint] = {}

    def say(self, counts: Mapping[str, int], now_ms: int) -> None:
        """Log what has grown in *counts* (what: how often so far) and is due."""
        for what, n in counts.items():
            said, due_ms, gap_ms = self._said.get(what, Complaint(0, now_ms, GAP_MS))
            if n == said or now_ms < due_ms:
                continue
            more = n - said
            log.warning("%s (%d times)", what, more) if more > 1 else log.warning("%s", what)
            gap_ms = gap_ms if now_ms < due_ms + GAP_MAX_MS else GAP_MS
            self._said[what] = Complaint(n, now_ms + gap_ms, min(2 * gap_ms, GAP_MAX_MS))


class Complaint(NamedTuple):
    """One line of the log: how often its cause had happened, when it may be logged again, and the gap after that."""

    times: int
    due_ms: int
    gap_ms: int
