"""Judges the rules that apply at every moment of every test: about doors, motors, lamps and requests.

The judge observes the events of all cars, and reports each broken rule once for each car. It judges some events a
moment later, because a car may stop just after its door opens, for example; see `resolve_due`. A frozen controller is
not blamed for its car and door. A door that was open before its controller connected may close at any time.

The rules, all of them *must* unless marked *beyond*:
- The door is never open while the motor runs or between floors (D1).
- The door stays open for MIN_OPEN_MS (D1), and for MIN_OPEN_MS after an obstruction (D2, beyond), unless the stop
  button is used. It closes within MAX_OPEN_MS after it opened, or after the last event that may keep it open: a press,
  a release or a lamp change at its floor, a change of the obstruction switch or the stop button, or the end of a freeze
  (D1). After presses and releases, the controller has more time, because it may learn of them late; see `_reaction_ms`.
  A door that opens while its controller starts may close at once if no button for its floor has been pressed yet.
- The door does not close while obstructed (D2).
- The car does not leave its shaft (C5).
- The controller sends only valid requests (S2, beyond). The course's simulator hangs if a request names a button or a
  floor that does not exist.
- A lamp lights only after a press of its button (G6), a cab lamp only on the panel of its own car (L2). A lamp may
  still light until RELIT_MS after its call was over. Calls made before a failure may be served twice (G6).
- A lamp goes dark only if a door has served its call, or opens at its floor within CLEARED_BEFORE_OPEN_MS (L4). If no
  door opens but the lamp lights again within that time, it only flickers (beyond), because the call is not lost.

After it connects, a controller has SETTLE_MS to set its lamps, and MAX_OPEN_MS more to close its door.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from attrs import define

from elevator.building.elevators import EventKind
from elevator.core.model import NEVER_MS, Button
from elevator.exam.call_history import CallHistory, CallKey, key_of, name_of
from elevator.exam.results import CarEvent, Check, Level

TOLERANCE_MS = 25
"""How late the rig itself may be. Most limits are this much more generous."""
MIN_OPEN_MS = 2850
"""A door must stay open for at least this long. The dwell time is 3 s."""
MAX_OPEN_MS = 4000
"""A door must close within this time after it opened, or after the last event that may keep it open."""
REACTION_MS = 200
"""How long a controller may take to notice an obstruction, or to stop its car after a freeze."""
COMMAND_GAP_MS = 100
"""The longest time between two commands that a controller sends together, such as to start the motor and to close the
door. Between them, the controller may read its buttons, or be delayed by a busy machine."""
PRESS_REACTION_MS = 1000
"""How long a controller may take to act on a press or release on its own panel. The button's lamp may take as long."""
CLEARED_BEFORE_OPEN_MS = 500
"""How early the lamp of a call may go dark: this long before the door opens for the call."""
RELIT_MS = 1000
"""How long after its call is over (`CallHistory.pending`) a lamp may still turn on, because a controller is late."""
SETTLE_MS = 5000

DOOR_STANDS = "the door is open only while the car stands at a floor"
DOOR_STAYS = f"the door stays open for at least {MIN_OPEN_MS / 1000:g} s"
DOOR_STAYS_AFTER = f"after an obstruction, the door stays open for at least {MIN_OPEN_MS / 1000:g} s"
DOOR_CLOSES = f"the door closes within {MAX_OPEN_MS / 1000:g} s unless something keeps it open"
DOOR_BLOCKED = "the door does not close while it is obstructed"
IN_SHAFT = "the car does not drive past the end floors"
VALID_REQUESTS = "the controller sends only valid requests"
NOT_INVENTED = "a lamp lights only if its button was pressed"
PRIVATE = "a cab lamp lights only on the panel of its own car"
DARK_IF_SERVED = "a lamp goes dark only after a door has opened at its floor"
STEADY = "a lamp does not flicker before its call is served"
RULES = {
    DOOR_STANDS: ("D1", Level.MUST),
    DOOR_STAYS: ("D1", Level.MUST),
    DOOR_STAYS_AFTER: ("D2", Level.BEYOND),
    DOOR_CLOSES: ("D1", Level.MUST),
    DOOR_BLOCKED: ("D2", Level.MUST),
    IN_SHAFT: ("C5", Level.MUST),
    VALID_REQUESTS: ("S2", Level.BEYOND),
    NOT_INVENTED: ("G6", Level.MUST),
    PRIVATE: ("L2", Level.MUST),
    DARK_IF_SERVED: ("L4", Level.MUST),
    STEADY: ("L4", Level.BEYOND),
}


@define
class _Car:
    """What the judge knows about one car."""

    floor: int | None
    motor: int = 0
    door_since_ms: int | None = None
    open_until_ms: int = 0
    """The door must be closed by this time, unless `may_stay_open` is true."""
    obstructed_since_ms: int | None = None
    cleared_ms: int = -NEVER_MS
    """When the open door was last cleared of an obstruction that had lasted long enough to notice."""
    client_since_ms: int | None = None
    stop_ms: int = -NEVER_MS
    """When the stop button last changed."""
    is_stopped: bool = False
    is_frozen: bool = False
    resumed_ms: int = -NEVER_MS

    def obstructed_ms(self, now_ms: int) -> int:
        """Return how long a connected controller could see that its open door is obstructed; 0 if it could not."""
        if self.obstructed_since_ms is None or self.door_since_ms is None or self.is_frozen:
            return 0
        return now_ms - max(self.obstructed_since_ms, self.door_since_ms, self.resumed_ms)

    @property
    def may_stay_open(self) -> bool:
        """True while the door is obstructed, the stop button is down, or the controller is frozen or not connected."""
        is_held = self.obstructed_since_ms is not None or self.is_stopped
        return is_held or self.client_since_ms is None or self.is_frozen


@define
class _Suspicion:
    """An event that breaks `rule`, unless `is_innocent` returns true at `due_ms`."""

    due_ms: int
    at_ms: int
    car: int
    rule: str
    found: str
    is_innocent: Callable[[], bool]


class Judge:
    """Judges all cars of a group during a test, and remembers their calls."""

    def __init__(self, floors: Sequence[int | None]) -> None:
        """*floors*: the floor where each car starts; None between floors."""
        self._cars = [_Car(floor) for floor in floors]
        self._calls = CallHistory(len(floors))
        self._suspicions: list[_Suspicion] = []
        self._counts = dict.fromkeys(RULES, 0)
        """How often each rule was judged."""
        self._broken: set[tuple[str, int]] = set()

    # Judging

    def observe(self, event: CarEvent) -> list[Check]:
        """Judge *event*. The events of each car must come in order of time. Return newly failed checks."""
        failed = self.resolve_due(event.at_ms)
        car = self._cars[event.car]
        match event.kind:
            case EventKind.SENSOR:
                car.floor = event.value if isinstance(event.value, int) else None
                self._judge_door_stands(event)
            case EventKind.MOTOR:
                car.motor = int(event.value or 0)
                self._judge_door_stands(event)
            case EventKind.DOOR:
                self._observe_door(event, car)
            case EventKind.OBSTRUCTED:
                if not event.value and car.obstructed_ms(event.at_ms) >= REACTION_MS:
                    car.cleared_ms = event.at_ms
                car.obstructed_since_ms = event.at_ms if event.value else None
            case EventKind.STOP:
                car.stop_ms, car.is_stopped = event.at_ms, bool(event.value)
            case EventKind.CLIENT:
                car.client_since_ms = event.at_ms if event.value else None
                self.note_disturbance(event.at_ms)
            case EventKind.OUT_OF_BOUNDS if event.value:
                is_resuming = car.is_frozen or event.at_ms < car.resumed_ms + REACTION_MS
                self._suspect(event, IN_SHAFT, "the car drove past an end floor", lambda: is_resuming)
            case EventKind.BAD:
                self._suspect(event, VALID_REQUESTS, f"{event.value}", lambda: False)
            case EventKind.PRESS | EventKind.RELEASE:
                self._calls.change_button(key_of(event), event.kind is EventKind.PRESS, event.at_ms)
            case EventKind.LAMP:
                self._observe_lamp(event, car)
            case _:
                pass
        self._prolong(event)
        return failed + self.resolve_due(event.at_ms)

    def resolve_due(self, now_ms: int) -> list[Check]:
        """Resolve the suspicions that are due, and find doors that are open too long. Return newly failed checks."""
        due = [each for each in self._suspicions if each.due_ms <= now_ms]
        self._suspicions = [each for each in self._suspicions if each.due_ms > now_ms]
        failed = []
        for each in due:
            self._counts[each.rule] += 1
            if not each.is_innocent():
                failed += self._fail(each.rule, each.found, each.at_ms, each.car)
        for number, car in enumerate(self._cars):
            late_ms = car.open_until_ms + TOLERANCE_MS
            if car.door_since_ms is not None and late_ms < now_ms and not car.may_stay_open:
                found = f"it was still open {(car.open_until_ms - car.door_since_ms) / 1000:.1f} s after it opened"
                failed += self._fail(DOOR_CLOSES, found, late_ms, number)
        return failed

    def _fail(self, rule: str, found: str, at_ms: int, car: int) -> list[Check]:
        """Record that *car* broke *rule*. Return the failed check; nothing if *car* had broken the rule before."""
        if (rule, car) in self._broken:
            return []
        self._broken.add((rule, car))
        return [Check(*RULES[rule], False, rule, found, at_ms, car)]

    def passed(self, now_ms: int) -> list[Check]:
        """Return a passed check for each rule that was judged and that no car has broken. Ignore pending suspicions."""
        broken = {rule for rule, _ in self._broken}
        return [
            Check(*RULES[rule], True, rule, f"it held {count} times" if count > 1 else "it held once", now_ms)
            for rule, count in self._counts.items()
            if count and rule not in broken
        ]

    def _suspect(
        self, event: CarEvent, rule: str, found: str, is_innocent: Callable[[], bool], after_ms: int = 0
    ) -> None:
        self._suspicions.append(_Suspicion(event.at_ms + after_ms, event.at_ms, event.car, rule, found, is_innocent))

    def note_disturbance(self, now_ms: int) -> None:
        """Record that a fault may keep controllers from exchanging calls at *now_ms*."""
        self._calls.disturbed_ms = now_ms

    def note_freeze(self, car: int, on: bool, now_ms: int) -> None:
        """Record whether the controller of *car* is frozen. After a freeze, it has MAX_OPEN_MS to close its door."""
        self._cars[car].is_frozen = on
        if not on:
            self._cars[car].resumed_ms = now_ms
            self._keep_open(car, now_ms + MAX_OPEN_MS)

    def _judge_door_stands(self, event: CarEvent) -> None:
        car = self._cars[event.car]
        if car.door_since_ms is None:
            return

        def is_innocent() -> bool:
            stands = not car.motor and car.floor is not None
            return stands or car.door_since_ms is None or car.is_frozen

        if is_innocent():
            self._counts[DOOR_STANDS] += 1
        else:
            what = "the motor runs" if car.motor else "the car is between floors"
            self._suspect(event, DOOR_STANDS, f"{what} while the door is open", is_innocent, COMMAND_GAP_MS)

    def _prolong(self, event: CarEvent) -> None:
        """Extend the time limit of each door that *event* may keep open."""
        match event.kind:
            case EventKind.PRESS | EventKind.RELEASE | EventKind.LAMP:
                for number, car in enumerate(self._cars):
                    if car.floor == event.floor and (number == event.car or event.button is not Button.CAB):
                        self._keep_open(number, event.at_ms + MAX_OPEN_MS + _reaction_ms(event, number))
            case EventKind.CLIENT:
                self._keep_open(event.car, event.at_ms + SETTLE_MS + MAX_OPEN_MS)
            case EventKind.DOOR | EventKind.OBSTRUCTED | EventKind.STOP:
                self._keep_open(event.car, event.at_ms + MAX_OPEN_MS)
            case _:
                pass

    def _keep_open(self, car: int, until_ms: int) -> None:
        self._cars[car].open_until_ms = max(self._cars[car].open_until_ms, until_ms)

    def _observe_door(self, event: CarEvent, car: _Car) -> None:
        if event.value:
            car.door_since_ms = event.at_ms
            if car.floor is not None:
                self._calls.open_door(event.car, car.floor)
            self._judge_door_stands(event)
            return
        self._judge_closing(event, car)
        car.door_since_ms = None
        self._calls.close_door(event.car, event.at_ms)

    def _judge_closing(self, event: CarEvent, car: _Car) -> None:
        since_ms = car.door_since_ms
        if since_ms is None or car.client_since_ms is None or car.client_since_ms > since_ms:
            return  # This controller did not open the door.
        self._counts[DOOR_CLOSES] += 1
        is_blocked = car.obstructed_ms(event.at_ms) >= REACTION_MS + TOLERANCE_MS
        was_blocked = car.cleared_ms >= since_ms
        if is_blocked or was_blocked:
            self._suspect(event, DOOR_BLOCKED, "the door closed while obstructed", lambda: not is_blocked)
        is_start = since_ms < car.client_since_ms + SETTLE_MS and not self._was_pressed(event.car, car.floor)
        if is_blocked or car.is_stopped or car.stop_ms >= since_ms or is_start:
            return
        open_ms, clear_ms = event.at_ms - since_ms, event.at_ms - car.cleared_ms
        enough_ms = MIN_OPEN_MS - TOLERANCE_MS
        self._suspect(event, DOOR_STAYS, f"it closed after {open_ms / 1000:.2f} s", lambda: open_ms >= enough_ms)
        if was_blocked:
            found = f"it closed {clear_ms / 1000:.2f} s after the obstruction cleared"
            self._suspect(event, DOOR_STAYS_AFTER, found, lambda: clear_ms >= enough_ms)

    def _was_pressed(self, car: int, floor: int | None) -> bool:
        """Return whether a hall button at *floor*, or the cab button for *floor* in *car*, was pressed in this test."""
        return any(at == floor and only in (None, car) for _, at, only in self._calls.pressed)

    def _observe_lamp(self, event: CarEvent, car: _Car) -> None:
        key = key_of(event)
        button, floor, _ = key
        lit, pressed = self._calls.lit[event.car], self._calls.pressed
        settled_ms = (event.at_ms if car.client_since_ms is None else car.client_since_ms) + SETTLE_MS
        if not event.value:
            lit_ms, confirmed_ms = self._calls.darken(key, event.car, event.at_ms), self._calls.confirmed_ms(key)
            if confirmed_ms is not None and event.at_ms >= settled_ms:
                self._judge_darkness(event, key, min(lit_ms, confirmed_ms))
            return
        panels = [number for number, each in enumerate(self._cars) if each.client_since_ms is not None]
        pending = self._calls.pending(key, panels, event.at_ms - RELIT_MS - TOLERANCE_MS)
        lit[button, floor] = event.at_ms
        if key in pending:
            self._counts[PRIVATE if button is Button.CAB else NOT_INVENTED] += 1
            self._calls.confirm(key)
            return
        rule = PRIVATE if pending else NOT_INVENTED
        again, since = (" again", " since") if key in pressed else ("", "")
        found = f"the lamp of the {name_of(button, floor)} lit{again}, but its button had not been pressed{since}"
        if event.at_ms >= settled_ms:
            self._suspect(event, rule, found, lambda: False)
            return
        # While it starts, a controller may test its lamps.
        found += ". If the controller read the call from a file of an earlier run, use {dir} or --own-dir"

        def is_innocent() -> bool:
            return (button, floor) not in lit or pressed.get(key, -1) >= event.at_ms

        self._suspect(event, rule, found, is_innocent, settled_ms - event.at_ms)

    def _judge_darkness(self, event: CarEvent, key: CallKey, since_ms: int) -> None:
        """Judge that the lamp of *key* went dark: a door must have served the call since *since_ms*, or soon do so."""
        lit, at = self._calls.lit[event.car], key[:2]

        def is_served() -> bool:
            return self._calls.was_served(key, since_ms)

        door_had = "no door had" if key[2] is None else f"the door of car {key[2]} had not"
        found = f"the lamp of the {name_of(*at)} went dark{{}}, but {door_had} been open there"
        wait_ms = CLEARED_BEFORE_OPEN_MS + TOLERANCE_MS
        self._suspect(event, DARK_IF_SERVED, found.format(""), lambda: at in lit or is_served(), wait_ms)
        self._suspect(event, STEADY, found.format(" for a moment"), lambda: at not in lit or is_served(), wait_ms)

    # Calls

    def unserved(self, healthy: Collection[int], buttons: Collection[Button] = (*Button,)) -> list[str]:
        """Return the confirmed calls of *buttons* that are not served; see `CallHistory.unserved`."""
        return self._calls.unserved(healthy, buttons)

    def was_open(self, floor: int, since_ms: int, cars: Iterable[int]) -> bool:
        """Return whether the door of one of *cars* was open at *floor* at or after *since_ms*."""
        return self._calls.was_open(floor, since_ms, cars)


def _reaction_ms(event: CarEvent, car: int) -> int:
    """Return how long the controller of *car* may take to act on *event*, a press, a release or a lamp change.

    Datagrams about a press on another panel may get lost. So the limit is MAX_OPEN_MS: the door has closed by then.
    """
    if event.kind is EventKind.LAMP:
        return 0
    return PRESS_REACTION_MS if event.car == car else MAX_OPEN_MS
