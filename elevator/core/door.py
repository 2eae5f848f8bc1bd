"""The door of one car: its phase, what it has announced, and until when it stays open. Pure.

                       the car decides to stop here
            CLOSED ──────────────────────────────────▶ STOPPING
               ▲                                          │ the panel confirms that the car stands
               │ the panel confirms                       ▼
            CLOSING ◀── dwell time over ── OPEN ◀──────── OPENING
               │                            │  confirmed     │
               └──────── the panel is lost ─┴────────────────┤
                                                             ▼
                              OPENING ◀── the car stands ── UNKNOWN

No command opens or closes a door at once: its server may be slow, or gone. So a door is OPEN only when the panel has
answered since it was told to open (C9), and it is told to open only when the panel has answered since the motor was
told to stop (D1). A door whose panel is lost may be open. It stays as it is until the panel has confirmed that the car
stands there; then it opens anew, for a full dwell time (D4).
"""

from enum import Enum, auto
from typing import assert_never

from attrs import evolve, frozen

from elevator import _assign
from elevator.core.model import NEVER_MS, Direction, OpenDoor

DOOR_OPEN_MS = _assign.DOOR_MS
"""The dwell time. The assigner plans with it."""
DOOR_GRACE_MS = 300
"""How long past its dwell time an obstructed door takes the car out of service. Less, and each passenger would."""
DOOR_EXTENSION_MS = 15_000
"""For how long after opening presses on the spot may prolong the stop (C6)."""


class Phase(Enum):
    """What the door does, as far as the panel has confirmed it."""

    CLOSED = auto()
    STOPPING = auto()
    """The car is to open it here; the panel has not confirmed yet that the car stands."""
    OPENING = auto()
    """It was told to open; the panel has not confirmed that yet."""
    OPEN = auto()
    CLOSING = auto()
    """It was told to close; the panel has not confirmed that yet."""
    UNKNOWN = auto()
    """It may be open, because the panel was lost or a former run opened it. It stays as it is."""


@frozen
class Door:
    """What a node knows and wants of the door of its car."""

    phase: Phase = Phase.CLOSED
    announced: bool = False
    """Whether passengers were told the direction at this stop, by clearing its hall call."""
    obstructed: bool = False
    opened_at_ms: int | None = None
    """When it may first have been open at this stop, even if the panel was lost since. None if it has not been."""
    close_at_ms: int = 0
    """When it may close, unless it is obstructed."""
    inherited: OpenDoor | None = None
    """The door that a former run left open; None once a floor report has told whether it can still be open."""


def blocked_at_ms(door: Door) -> int:
    """Return when an open door takes its car out of service unless it closes before.

    An obstruction that comes and goes may keep it open when it no longer serves presses.
    """
    if not is_at_stop(door):
        return NEVER_MS
    kept_ms = NEVER_MS if door.opened_at_ms is None else door.opened_at_ms + DOOR_EXTENSION_MS + DOOR_OPEN_MS
    return min(kept_ms, door.close_at_ms if door.obstructed else NEVER_MS) + DOOR_GRACE_MS


def is_at_stop(door: Door) -> bool:
    """Tell whether the car serves a floor, or is about to: it does not leave before the door is closed."""
    return door.phase not in (Phase.CLOSED, Phase.CLOSING) and door.inherited is None


def command(door: Door) -> bool | None:
    """Return whether the door should be open; None: it stays as it is."""
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
    """Begin a stop, or another dwell time with another announcement."""
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
    """End a stop, whether or not the door has been open."""
    is_open = door.phase in (Phase.OPEN, Phase.CLOSING)
    return evolve(door, phase=Phase.CLOSING if is_open else Phase.CLOSED)


def confirm(door: Door, now_ms: int, is_standing: bool, is_open: bool, obstructed: bool) -> Door:
    """Take what the panel has confirmed: that the car stands at its floor, and that the door *is_open*."""
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
    if phase is Phase.OPENING and is_open:  # The dwell time begins now.
        was_blocked = door.opened_at_ms is not None and door.obstructed
        close_at_ms = door.close_at_ms if was_blocked else now_ms + DOOR_OPEN_MS
        door = evolve(door, opened_at_ms=now_ms, close_at_ms=close_at_ms)
        phase = Phase.OPEN
    if phase is not door.phase:
        door = evolve(door, phase=phase)
    return obstruct(door, now_ms, obstructed and is_at_stop(door))


def obstruct(door: Door, now_ms: int, obstructed: bool) -> Door:
    """Note an obstruction; when it ends, another full dwell time begins (D2)."""
    if obstructed == door.obstructed:
        return door
    return evolve(door, obstructed=obstructed, close_at_ms=door.close_at_ms if obstructed else now_ms + DOOR_OPEN_MS)


def lose(door: Door, now_ms: int, at_floor: bool) -> Door:
    """Go on without a panel: a door that was told to open, or to close, may be open."""
    match door.phase:
        case Phase.OPEN | Phase.CLOSING:
            return evolve(door, phase=Phase.UNKNOWN if at_floor else Phase.CLOSED)
        case Phase.OPENING:
            return evolve(door, phase=Phase.UNKNOWN, opened_at_ms=now_ms)
        case Phase.CLOSED | Phase.STOPPING | Phase.UNKNOWN:
            return door
        case _:
            assert_never(door.phase)


def prolong(door: Door, now_ms: int, announces: bool) -> Door:
    """Stay open for another dwell time, because the open door serves a call."""
    close_at_ms = door.close_at_ms if door.obstructed else max(door.close_at_ms, now_ms + DOOR_OPEN_MS)
    return evolve(door, announced=door.announced or announces, close_at_ms=close_at_ms)


def record(door: Door, floor: int | None, direction: Direction) -> OpenDoor | None:
    """Return where the door was told to open, for the record."""
    may_be_open = door.phase in (Phase.OPENING, Phase.OPEN, Phase.UNKNOWN)
    if may_be_open and door.inherited is None and floor is not None:
        return OpenDoor(floor, direction)
    return door.inherited
