"""The door of one car: its phase, when it closes, and whether a direction is announced. Pure.

                         the car decides to stop
            CLOSED ──────────────────────────────────▶ STOPPING
               ▲                                          │ the panel confirms that the car has stopped
               │ the next snapshot                        ▼
            CLOSING ◀── dwell time over ── OPEN ◀──────── OPENING
               │                            │  confirmed     │
               └──────── the panel is lost ─┴────────────────┤
                                                             ▼
                              OPENING ◀─ the car has stopped ─ UNKNOWN

A command may take effect late or never, because the panel may be slow or lost. So the node opens the door only after
the panel has confirmed that the motor has stopped (D1). The door counts as OPEN only after the panel has confirmed the
open command (C9).

In the phase UNKNOWN, the node sends no door command. Once the panel confirms that the car has stopped at its floor, the
node opens the door for a full dwell time (D4).

The diagram shows the usual transitions. These are the others:
- A stop may also begin while the phase is CLOSING.
- A stop that begins with the phase CLOSED or CLOSING skips STOPPING if the panel has already confirmed that the car is
  stationary at its floor.
- If a stop ends before the phase is OPEN, the phase becomes CLOSED. This happens if another car has served the call, or
  if the car has left its floor.
- OPEN becomes OPENING again if a snapshot does not confirm the open command.
- OPEN becomes CLOSING if the car has left its floor.
- If the panel is lost while the car is between floors, OPEN and CLOSING become CLOSED.
- After a restart, UNKNOWN becomes CLOSED if the car is not at the floor of the previous incarnation's stop
  (`drive.inherit`).
"""

from enum import Enum, auto
from typing import assert_never

from elevator import _assign
from elevator.core.evolve import evolve, frozen
from elevator.core.messages import OpenDoor
from elevator.core.model import NEVER_MS, Direction

DOOR_OPEN_MS = _assign.DOOR_MS
"""The dwell time. The native assigner uses the same value."""
DOOR_GRACE_MS = 300
"""How long an obstruction may outlast the dwell time before the car goes out of service. This allows for a passenger
who is still in the door at the end of the dwell time. Repeated obstructions may keep the car at a floor this much
longer than presses can."""
DOOR_EXTENSION_MS = 15_000
"""Presses can extend a stop only until this long after the door opened (C6)."""


class Phase(Enum):
    """The phase of the door, as far as the node knows it. Of the phases, the panel confirms only OPEN."""

    CLOSED = auto()
    STOPPING = auto()
    """The car is stopping to open its door. The panel has not confirmed yet that the car is stationary."""
    OPENING = auto()
    """The node has sent the open command. The panel has not confirmed it yet."""
    OPEN = auto()
    CLOSING = auto()
    """The node has sent the close command, and no snapshot has arrived since."""
    UNKNOWN = auto()
    """The door may be open, because the panel was lost or the previous incarnation opened the door. The node sends no
    door command."""


@frozen
class Door:
    phase: Phase = Phase.CLOSED
    announced: bool = False
    """True once the car has announced its direction at this stop by serving a hall call. True from the beginning if the
    stop is that of the previous incarnation."""
    obstructed: bool = False
    opened_at_ms: int | None = None
    """When the door last opened, or may have opened, at this stop. None if it has not. If it was already open when the
    stop began, this is the beginning of the stop."""
    close_at_ms: int = 0
    """When the dwell time ends. An obstructed door stays open even after that."""
    inherited: OpenDoor | None = None
    """The door that the previous incarnation left open. None if it left none open, and once the floor sensor has shown
    whether the car is still there."""


def blocked_at_ms(door: Door) -> int:
    """Return when the car goes out of service because its stop lasts too long; NEVER_MS or later if there is no limit.

    One obstruction may last until DOOR_GRACE_MS after the dwell time. Repeated obstructions may extend a stop for
    DOOR_GRACE_MS longer than presses can.
    """
    if not is_at_stop(door):
        return NEVER_MS
    kept_ms = NEVER_MS if door.opened_at_ms is None else door.opened_at_ms + DOOR_EXTENSION_MS + DOOR_OPEN_MS
    return min(kept_ms, door.close_at_ms if door.obstructed else NEVER_MS) + DOOR_GRACE_MS


def is_at_stop(door: Door) -> bool:
    """Return whether the car is making a stop. A stop lasts from the decision to stop until the close command.

    After a restart, a stop of the previous incarnation counts only once the floor sensor has confirmed the floor.
    """
    return door.phase not in (Phase.CLOSED, Phase.CLOSING) and door.inherited is None


def command(door: Door) -> bool | None:
    """Return the door command: True opens the door, False closes it, None leaves it as it is."""
    match door.phase:
        case Phase.CLOSED | Phase.CLOSING:
            return False
        case Phase.OPENING | Phase.OPEN:
            return True
        case Phase.STOPPING | Phase.UNKNOWN:
            return None
        case _:
            assert_never(door.phase)


def stop(door: Door, now_ms: int, is_standing: bool) -> Door:
    """Begin a stop. If the door is already open, begin another dwell time, with no direction announced yet."""
    match door.phase:
        case Phase.CLOSED | Phase.CLOSING | Phase.STOPPING:
            phase = Phase.OPENING if is_standing else Phase.STOPPING
        case Phase.OPENING | Phase.OPEN | Phase.UNKNOWN:
            phase = door.phase
        case _:
            assert_never(door.phase)
    opened_at_ms = now_ms if phase is Phase.OPEN else None
    return evolve(door, phase=phase, announced=False, opened_at_ms=opened_at_ms, close_at_ms=now_ms + DOOR_OPEN_MS)


def close(door: Door) -> Door:
    """End a stop, even if the door has not opened."""
    is_open = door.phase in (Phase.OPEN, Phase.CLOSING)
    return evolve(door, phase=Phase.CLOSING if is_open else Phase.CLOSED)


def confirm(door: Door, now_ms: int, is_standing: bool, is_open: bool, obstructed: bool) -> Door:
    """Update the phase and the obstruction from a snapshot of the panel. When the door opens, begin the dwell time.

    *is_standing* is true if the panel has confirmed that the car is stationary at its floor. *is_open* is true if the
    panel has confirmed the open command, and no close command was sent since. A door that reopens while obstructed
    keeps its old dwell time.
    """
    phase = door.phase
    match phase:
        case Phase.UNKNOWN if is_standing and door.inherited is None:
            phase = Phase.OPENING
        case Phase.CLOSING if not is_open:
            phase = Phase.CLOSED
        case Phase.OPEN if not is_open:
            phase = Phase.OPENING
        case Phase.CLOSED | Phase.STOPPING | Phase.OPENING | Phase.OPEN | Phase.CLOSING | Phase.UNKNOWN:
            pass
        case _:
            assert_never(phase)
    if phase is Phase.OPENING and is_open:
        was_blocked = door.opened_at_ms is not None and door.obstructed
        close_at_ms = door.close_at_ms if was_blocked else now_ms + DOOR_OPEN_MS
        door = evolve(door, opened_at_ms=now_ms, close_at_ms=close_at_ms)
        phase = Phase.OPEN
    if phase is not door.phase:
        door = evolve(door, phase=phase)
    return obstruct(door, now_ms, obstructed and is_at_stop(door))


def obstruct(door: Door, now_ms: int, obstructed: bool) -> Door:
    """Set or clear the obstruction. When it clears, another full dwell time begins (D2)."""
    if obstructed == door.obstructed:
        return door
    return evolve(door, obstructed=obstructed, close_at_ms=door.close_at_ms if obstructed else now_ms + DOOR_OPEN_MS)


def lose(door: Door, now_ms: int, at_floor: bool) -> Door:
    """Update the door after the panel is lost. The phase becomes UNKNOWN if the door may be open at the car's floor."""
    match door.phase:
        case Phase.OPEN | Phase.CLOSING:
            return evolve(door, phase=Phase.UNKNOWN if at_floor else Phase.CLOSED)
        case Phase.OPENING:
            return evolve(door, phase=Phase.UNKNOWN, opened_at_ms=now_ms)
        case Phase.CLOSED | Phase.STOPPING | Phase.UNKNOWN:
            return door
        case _:
            assert_never(door.phase)


def extend(door: Door, now_ms: int, announces: bool) -> Door:
    """Begin another dwell time, because the car serves calls. *announces* is true if a hall call is among them.

    If the door is obstructed, the dwell time begins when the obstruction clears.
    """
    close_at_ms = door.close_at_ms if door.obstructed else max(door.close_at_ms, now_ms + DOOR_OPEN_MS)
    return evolve(door, announced=door.announced or announces, close_at_ms=close_at_ms)


def record(door: Door, floor: int | None, direction: Direction) -> OpenDoor | None:
    """Return the door's entry in the record; None if the door is closed or has been told to close.

    *floor* and *direction* are the car's. An inherited entry is kept until the floor sensor has shown where the car is.
    """
    may_be_open = door.phase in (Phase.OPENING, Phase.OPEN, Phase.UNKNOWN)
    if may_be_open and door.inherited is None and floor is not None:
        return OpenDoor(floor, direction)
    return door.inherited
