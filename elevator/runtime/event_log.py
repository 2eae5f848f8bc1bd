"""The events that a node logs, derived from the node's state before and after each turn.

The function `events` yields all events of a turn. `EventLog.events` yields them with flap damping (log_damping.py).

At level info, a node logs calls, and when its car or a peer becomes available. A car that goes out of service and a
peer that times out are warnings. Actions of the car are logged at level debug.

A node that ends on request first broadcasts that its panel is lost (loop.py), and its peers reassign its hall calls. So
if a peer whose panel is lost falls silent, the node logs at level info that the peer is gone, not that it timed out.
"""

import logging
from collections.abc import Iterator, Mapping
from logging import DEBUG, INFO, WARNING
from typing import NamedTuple

from attrs import define, field

from elevator.core.drive import Drive
from elevator.core.log_damping import Condition
from elevator.core.model import Behaviour, Button, Call, Fault, bits
from elevator.core.node import Node, hears

GAP_MS, GAP_MAX_MS = 1000, 60_000

log = logging.getLogger("elevator")


class LoggedEvent(NamedTuple):
    level: int
    text: str


def events(before: Node, after: Node) -> Iterator[LoggedEvent]:
    yield from call_events(before, after)
    was, now = hears(before), hears(after)
    if was != now:
        yield from (peer_event(after, id, is_alive=True) for id in bits(now & ~was))
        yield from (peer_event(after, id, is_alive=False) for id in bits(was & ~now))
    old, new = before.drive, after.drive
    if new is not old:
        if new.fault is not old.fault:
            yield service_event({new.fault} - {Fault.NONE})
        if has_new_action(old, new):
            yield LoggedEvent(DEBUG, action(new))


def call_events(before: Node, after: Node) -> Iterator[LoggedEvent]:
    if after.calls is not before.calls:
        known = frozenset(before.calls.live.values())
        new = [call for dot, call in after.calls.live.items() if dot not in before.calls.live and call not in known]
        yield from (LoggedEvent(INFO, f"{describe(call)}: registered") for call in new)
    if after.lit is not before.lit:
        yield from (LoggedEvent(INFO, f"{describe(call)}: lamp on") for call in sorted(after.lit - before.lit))
        kept = {call for dot, call in before.calls.live.items() if dot in after.calls.live}
        for call in sorted(before.lit - after.lit):
            yield LoggedEvent(INFO, f"{describe(call)}: {'lamp off, not served yet' if call in kept else 'served'}")


@define(eq=False)
class EventLog:
    """Decides which events of one node to log. Flap damping applies to timeouts of peers and faults of the car.

    While the fault "position unknown" is damped, the actions of the car are not logged.
    """

    _peers: dict[int, Condition] = field(factory=dict)
    _unsettled: int = 0
    """The bit mask of the peers whose current state is not reported yet, because of damping."""
    _faults: dict[Fault, Condition] = field(factory=lambda: {Fault.SERVER: Condition(is_failing=True)})
    _fault: Fault = Fault.SERVER
    _has_unlogged_action: bool = False

    def events(self, before: Node, after: Node) -> Iterator[LoggedEvent]:
        """Yield the events to log for the turn from *before* to *after*. Call this for every turn, in order."""
        yield from call_events(before, after)
        yield from self._peer_events(before, after)
        yield from self._service_events(after)
        # A flickering floor sensor keeps starting and stopping the car. Log no actions meanwhile.
        position = self._faults.get(Fault.POSITION)
        self._has_unlogged_action = self._has_unlogged_action or has_new_action(before.drive, after.drive)
        if self._has_unlogged_action and not (position and position.damped_ms):
            self._has_unlogged_action = False
            yield LoggedEvent(DEBUG, action(after.drive))

    def _peer_events(self, before: Node, after: Node) -> Iterator[LoggedEvent]:
        heard, unsettled = hears(after), 0
        for id in bits((hears(before) ^ heard) | self._unsettled):
            condition, is_silent = self._peers.setdefault(id, Condition(is_failing=None)), not heard >> id & 1
            report = condition.feed(after.now_ms, is_silent)
            if report is not None:
                yield peer_event(after, id, not report.begins, report.note)
            if condition.is_failing is not is_silent:
                unsettled |= 1 << id
        self._unsettled = unsettled

    def _service_events(self, after: Node) -> Iterator[LoggedEvent]:
        before, self._fault = self._fault, after.drive.fault
        reported = {fault for fault, condition in self._faults.items() if condition.is_failing}
        if self._fault is before and reported == {before} - {Fault.NONE}:
            return  # The fault is unchanged, and damping delays no report.
        if self._fault is not Fault.NONE:
            self._faults.setdefault(self._fault, Condition())
        reports = [condition.feed(after.now_ms, fault is self._fault) for fault, condition in self._faults.items()]
        notes = "".join(report.note for report in reports if report is not None)
        if any(reports):
            yield service_event({fault for fault, condition in self._faults.items() if condition.is_failing}, notes)


def peer_event(node: Node, id: int, is_alive: bool, note: str = "") -> LoggedEvent:
    """Return the event that the peer *id* of *node* is alive or has fallen silent."""
    if is_alive:
        return LoggedEvent(INFO, f"node {id} is alive{note}")
    if node.peers.known[id].heartbeat.car.fault is Fault.SERVER:
        return LoggedEvent(INFO, f"node {id} is gone: its hall calls were already reassigned{note}")
    return LoggedEvent(WARNING, f"node {id} timed out: its hall calls are reassigned{note}")


def service_event(faults: set[Fault], note: str = "") -> LoggedEvent:
    if faults:
        return LoggedEvent(WARNING, f"out of service: {', '.join(sorted(faults))}{note}")
    return LoggedEvent(INFO, f"in service{note}")


def has_new_action(old: Drive, new: Drive) -> bool:
    """Return whether the car's behaviour or direction, or the announcement of its direction, has changed."""
    if new is old:
        return False
    return (new.behaviour, new.direction, new.door.announced) != (old.behaviour, old.direction, old.door.announced)


def action(car: Drive) -> str:
    """Describe what *car* is doing, and the direction that it has announced, if any."""
    floor, direction = car.position.floor, car.direction.name.lower()
    where = "between floors" if floor is None else f"at floor {floor}"
    match car.behaviour:
        case Behaviour.IDLE:
            return f"idle {where}"
        case Behaviour.MOVING:
            return f"moving {direction}" + ("" if floor is None else f" from floor {floor}")
        case Behaviour.DOOR_OPEN:
            return f"door open {where}" + (f", {direction} announced" if car.door.announced else "")


def describe(call: Call) -> str:
    if call.button is Button.CAB:
        return f"cab call of car {call.car} to floor {call.floor}"
    return f"hall call {call.button.name.lower()} at floor {call.floor}"


class RepeatedWarnings:
    """Logs a problem at once. If it recurs, logs it again after at least 1, then 2, 4, ... and finally 60 seconds.

    If the problem stays away for a minute after its next line was due, the sequence starts again.
    """

    def __init__(self) -> None:
        self._logged: dict[str, LoggedWarning] = {}

    def log(self, counts: Mapping[str, int], now_ms: int) -> None:
        """Log each problem in *counts* whose total has grown since its last line, if its next line is due.

        The line says by how much the total has grown, if by more than 1.
        """
        for problem, total in counts.items():
            logged, next_at_ms, gap_ms = self._logged.get(problem, LoggedWarning(0, now_ms, GAP_MS))
            if total == logged or now_ms < next_at_ms:
                continue
            new = total - logged
            log.warning("%s (%d times)", problem, new) if new > 1 else log.warning("%s", problem)
            gap_ms = gap_ms if now_ms < next_at_ms + GAP_MAX_MS else GAP_MS
            self._logged[problem] = LoggedWarning(total, now_ms + gap_ms, min(2 * gap_ms, GAP_MAX_MS))


class LoggedWarning(NamedTuple):
    total: int
    """How often the problem had occurred when it was last logged."""
    next_at_ms: int
    """The earliest time of the next line."""
    gap_ms: int
    """The minimum time between the next line and the line after that."""
