"""What is judged during every test, whatever the test does: doors, motors, and what lamps promise.

The judge hears the events of all cars in order. It reports each rule that a controller breaks, once for each car. Some
decisions need a moment, such as whether a car that opens its door stops at the same time; see `overdue`. It blames a
controller for nothing that happens while the bench suspends it, nor for a door that opened before it connected.

Rules that it judges, all of them binding (*must*) unless marked:
- The door is never open while the motor runs or between floors (D1).
- The door stays open for MIN_OPEN_MS (D1), and as long again after an obstruction (D2, beyond). It closes within
  MAX_OPEN_MS after it has opened, or after the last thing that may keep it open: a press at its floor, a change of a
  lamp there, the obstruction switch or the stop button (D1). A door that opens at a start, where nobody has pressed a
  button, may close at once.
- The door does not close while obstructed (D2).
- The car does not leave its shaft (C5).
- Requests name only buttons and floors that exist (S2, beyond). The course's simulator hangs at others.
- A lamp lights only for a button that was pressed (G6), a cab lamp only on the panel of its own car (L2). It lights at
  most RELIT_MS after its call was served. Calls made before a failure may be served twice (G6).
- A lamp goes dark only if a door has been open at its floor (L4). If it lights again within CLEARED_BEFORE_OPEN_MS, it
  has flickered (beyond): nobody takes that for a call that was forgotten.

A controller has SETTLE_MS after it has connected to set its panel's lamps and to close its door.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from attrs import define

from elevator.building.elevator import EventKind
from elevator.core.model import NEVER_MS, Button
from elevator.exam.promises import Key, Promises, key_of, name_of
from elevator.exam.results import Check, Level, Seen

TOLERANCE_MS = 25
"""How late the bench itself may be. Every time limit includes it."""
MIN_OPEN_MS = 2850
"""The shortest time between opening and closing. The dwell time is 3 s."""
MAX_OPEN_MS = 4000
"""The longest time that a door may stay open without a reason."""
REACTION_MS = 200
"""How long a controller may take to notice a switch, such as that of the obstruction."""
TOGETHER_MS = 100
"""How far apart two commands may be that a controller sends one after the other, such as those to start the motor and
to close the door. The second waits if the controller is just reading its buttons, or if the machine is busy."""
HEARD_MS = 1000
"""How long a controller may take to act on a press on its own panel: as long as its lamp may take to light."""
CLEARED_BEFORE_OPEN_MS = 500
"""A lamp may go dark this long before the door opens."""
RELIT_MS = 1000
"""How long after its call was served a lamp may still light: as long as a lamp may take to light."""
SETTLE_MS = 5000

DOOR_STANDS = "the door is open only while the car stands at a floor"
DOOR_STAYS = f"the door stays open for at least {MIN_OPEN_MS / 1000:g} s"
DOOR_STAYS_AFTER = f"after an obstruction, the door stays open for at least {MIN_OPEN_MS / 1000:g} s"
DOOR_CLOSES = f"the door closes within {MAX_OPEN_MS / 1000:g} s unless something keeps it open"
DOOR_BLOCKED = "the door does not close while it is obstructed"
IN_SHAFT = "the car does not drive past the end floors"
VALID_REQUESTS = "the controller names only buttons and floors that exist"
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
    """What the judge knows of one car."""

    floor: int | None
    motor: int = 0
    door_since_ms: int | None = None
    open_until_ms: int = 0
    """Until when the door may be open at most."""
    obstructed_since_ms: int | None = None
    cleared_ms: int = -NEVER_MS
    """When an obstruction of the open door last ended that was long enough to be noticed."""
    client_since_ms: int | None = None
    stop_ms: int = -NEVER_MS
    """When the stop button last changed."""
    is_stopped: bool = False
    is_suspended: bool = False
    """True while the bench suspends the controller."""
    resumed_ms: int = -NEVER_MS

    def obstructed_ms(self, now_ms: int) -> int:
        """Return for how long the controller could have seen that the open door is obstructed."""
        if self.obstructed_since_ms is None or self.door_since_ms is None or self.is_suspended:
            return 0
        return now_ms - max(self.obstructed_since_ms, self.door_since_ms, self.resumed_ms)

    @property
    def may_stay_open(self) -> bool:
        """True while something keeps the door open, or while there is no controller to close it."""
        is_held = self.obstructed_since_ms is not None or self.is_stopped
        return is_held or self.client_since_ms is None or self.is_suspended


@define
class _Suspicion:
    """A rule that is broken unless *is_innocent* returns true at *due_ms*."""

    due_ms: int
    at_ms: int
    car: int
    rule: str
    found: str
    is_innocent: Callable[[], bool]


class Conduct:
    """The judge of what must never happen, and the memory of what lamps have promised."""

    def __init__(self, floors: Sequence[int | None]) -> None:
        """*floors*: for each car, the floor at which it starts; None between floors."""
        self._cars = [_Car(floor) for floor in floors]
        self._promises = Promises(len(floors))
        self._suspicions: list[_Suspicion] = []
        self._counts = dict.fromkeys(RULES, 0)
        """How often each rule was judged."""
        self._broken: set[tuple[str, int]] = set()

    # Judging

    def hear(self, seen: Seen) -> list[Check]:
        """Record an event. Return the checks that have failed by then."""
        failed = self.overdue(seen.at_ms)
        car = self._cars[seen.car]
        match seen.kind:
            case EventKind.SENSOR:
                car.floor = seen.value if isinstance(seen.value, int) else None
                self._judge_door_stands(seen)
            case EventKind.MOTOR:
                car.motor = int(seen.value or 0)
                self._judge_door_stands(seen)
            case EventKind.DOOR:
                self._hear_door(seen, car)
            case EventKind.OBSTRUCTED:
                if not seen.value and car.obstructed_ms(seen.at_ms) >= REACTION_MS:
                    car.cleared_ms = seen.at_ms
                car.obstructed_since_ms = seen.at_ms if seen.value else None
            case EventKind.STOP:
                car.stop_ms, car.is_stopped = seen.at_ms, bool(seen.value)
            case EventKind.CLIENT:
                car.client_since_ms = seen.at_ms if seen.value else None
                self.disturb(seen.at_ms)
            case EventKind.OUT_OF_BOUNDS if seen.value:
                is_resuming = car.is_suspended or seen.at_ms < car.resumed_ms + REACTION_MS
                self._suspect(seen, IN_SHAFT, "the car drove past an end floor", lambda: is_resuming)
            case EventKind.BAD:
                self._suspect(seen, VALID_REQUESTS, f"{seen.value}", lambda: False)
            case EventKind.PRESS | EventKind.RELEASE:
                self._promises.change_button(key_of(seen), seen.kind is EventKind.PRESS, seen.at_ms)
            case EventKind.LAMP:
                self._hear_lamp(seen, car)
            case _:
                pass
        self._prolong(seen)
        return failed + self.overdue(seen.at_ms)

    def overdue(self, now_ms: int) -> list[Check]:
        """Decide everything that is due at *now_ms*. Return the checks that have failed."""
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
                found = f"it was still open {(car.open_until_ms - car.door_since_ms) / 1000:.1f} s after it had opened"
                failed += self._fail(DOOR_CLOSES, found, late_ms, number)
        return failed

    def _fail(self, rule: str, found: str, at_ms: int, car: int) -> list[Check]:
        """Return the failed check of *rule*, unless *car* has broken it before."""
        if (rule, car) in self._broken:
            return []
        self._broken.add((rule, car))
        return [Check(*RULES[rule], False, rule, found, at_ms, car)]

    def passed(self, now_ms: int) -> list[Check]:
        """Return a passed check for each rule that was judged and never broken."""
        broken = {rule for rule, _ in self._broken}
        return [
            Check(*RULES[rule], True, rule, f"it held {count} times" if count > 1 else "it held once", now_ms)
            for rule, count in self._counts.items()
            if count and rule not in broken
        ]

    def _suspect(self, seen: Seen, rule: str, found: str, is_innocent: Callable[[], bool], after_ms: int = 0) -> None:
        self._suspicions.append(_Suspicion(seen.at_ms + after_ms, seen.at_ms, seen.car, rule, found, is_innocent))

    def disturb(self, now_ms: int) -> None:
        """Record that a failure keeps controllers from learning of each other's calls at *now_ms*."""
        self._promises.disturbed_ms = now_ms

    def suspend(self, car: int, on: bool, now_ms: int) -> None:
        """Record that the bench suspends the controller of *car*, or resumes it."""
        self._cars[car].is_suspended = on
        if not on:
            self._cars[car].resumed_ms = now_ms
            self._keep_open(car, now_ms + MAX_OPEN_MS)

    def _judge_door_stands(self, seen: Seen) -> None:
        car = self._cars[seen.car]
        if car.door_since_ms is None:
            return

        def is_innocent() -> bool:
            stands = not car.motor and car.floor is not None
            return stands or car.door_since_ms is None or car.is_suspended

        if is_innocent():
            self._counts[DOOR_STANDS] += 1
        else:
            what = "the motor runs" if car.motor else "the car is between floors"
            self._suspect(seen, DOOR_STANDS, f"{what} while the door is open", is_innocent, TOGETHER_MS)

    def _prolong(self, seen: Seen) -> None:
        """Let the doors that *seen* may concern stay open for longer."""
        match seen.kind:
            case EventKind.PRESS | EventKind.RELEASE | EventKind.LAMP:
                for number, car in enumerate(self._cars):
                    if car.floor == seen.floor and (number == seen.car or seen.button is not Button.CAB):
                        self._keep_open(number, seen.at_ms + MAX_OPEN_MS + _heard_ms(seen, number))
            case EventKind.CLIENT:
                self._keep_open(seen.car, seen.at_ms + SETTLE_MS + MAX_OPEN_MS)
            case EventKind.DOOR | EventKind.OBSTRUCTED | EventKind.STOP:
                self._keep_open(seen.car, seen.at_ms + MAX_OPEN_MS)
            case _:
                pass

    def _keep_open(self, car: int, until_ms: int) -> None:
        self._cars[car].open_until_ms = max(self._cars[car].open_until_ms, until_ms)

    def _hear_door(self, seen: Seen, car: _Car) -> None:
        if seen.value:
            car.door_since_ms = seen.at_ms
            if car.floor is not None:
                self._promises.open_door(seen.car, car.floor)
            self._judge_door_stands(seen)
            return
        self._judge_closing(seen, car)
        car.door_since_ms = None
        self._promises.close_door(seen.car, seen.at_ms)

    def _judge_closing(self, seen: Seen, car: _Car) -> None:
        since_ms = car.door_since_ms
        if since_ms is None or car.client_since_ms is None or car.client_since_ms > since_ms:
            return  # Another program opened the door.
        self._counts[DOOR_CLOSES] += 1
        is_blocked = car.obstructed_ms(seen.at_ms) >= REACTION_MS + TOLERANCE_MS
        was_blocked = car.cleared_ms >= since_ms
        if is_blocked or was_blocked:
            self._suspect(seen, DOOR_BLOCKED, "the door closed while obstructed", lambda: not is_blocked)
        is_start = since_ms < car.client_since_ms + SETTLE_MS and not self._is_pressed(seen.car, car.floor)
        if is_blocked or car.is_stopped or car.stop_ms >= since_ms or is_start:
            return
        open_ms, clear_ms = seen.at_ms - since_ms, seen.at_ms - car.cleared_ms
        enough_ms = MIN_OPEN_MS - TOLERANCE_MS
        self._suspect(seen, DOOR_STAYS, f"it closed after {open_ms / 1000:.2f} s", lambda: open_ms >= enough_ms)
        if was_blocked:
            found = f"it closed {clear_ms / 1000:.2f} s after the obstruction had gone"
            self._suspect(seen, DOOR_STAYS_AFTER, found, lambda: clear_ms >= enough_ms)

    def _is_pressed(self, car: int, floor: int | None) -> bool:
        """Report whether a hall button at *floor*, or the cab button for *floor* in *car*, has been pressed."""
        return any(at == floor and only in (None, car) for _, at, only in self._promises.pressed)

    def _hear_lamp(self, seen: Seen, car: _Car) -> None:
        key = key_of(seen)
        button, floor, _ = key
        lit, pressed = self._promises.lit[seen.car], self._promises.pressed
        settled_ms = (seen.at_ms if car.client_since_ms is None else car.client_since_ms) + SETTLE_MS
        if not seen.value:
            lit_ms, promised_ms = self._promises.darken(key, seen.car, seen.at_ms), self._promises.promised_ms(key)
            if promised_ms is not None and seen.at_ms >= settled_ms:
                self._judge_darkness(seen, key, min(lit_ms, promised_ms))
            return
        panels = [number for number, each in enumerate(self._cars) if each.client_since_ms is not None]
        pending = self._promises.pending(key, panels, seen.at_ms - RELIT_MS - TOLERANCE_MS)
        lit[button, floor] = seen.at_ms
        if key in pending:
            self._counts[PRIVATE if button is Button.CAB else NOT_INVENTED] += 1
            self._promises.promise(key)
            return
        rule = PRIVATE if pending else NOT_INVENTED
        again, since = (" again", " since") if key in pressed else ("", "")
        found = f"the lamp for {name_of(button, floor)} lit{again}, and nobody had pressed its button{since}"
        if seen.at_ms >= settled_ms:
            self._suspect(seen, rule, found, lambda: False)
            return
        # At a start, a controller may test its lamps.
        found += ". If the controller read it from a file of an earlier run, use {dir} or --own-dir"

        def is_innocent() -> bool:
            return (button, floor) not in lit or pressed.get(key, -1) >= seen.at_ms

        self._suspect(seen, rule, found, is_innocent, settled_ms - seen.at_ms)

    def _judge_darkness(self, seen: Seen, key: Key, since_ms: int) -> None:
        """Judge a lamp that went dark. It had promised to serve *key* since *since_ms*."""
        lit, at = self._promises.lit[seen.car], key[:2]

        def is_served() -> bool:
            return self._promises.was_served(key, since_ms)

        found = f"the lamp for {name_of(*at)} went dark{{}}, and no door had been open there"
        wait_ms = CLEARED_BEFORE_OPEN_MS + TOLERANCE_MS
        self._suspect(seen, DARK_IF_SERVED, found.format(""), lambda: at in lit or is_served(), wait_ms)
        self._suspect(seen, STEADY, found.format(" for a moment"), lambda: at not in lit or is_served(), wait_ms)

    # Promises

    def promises(self, sound: Collection[int], buttons: Collection[Button] = (*Button,)) -> list[str]:
        """Return the calls whose lamp was lit and that are not served; see `Promises.unkept`."""
        return self._promises.unkept(sound, buttons)

    def was_open(self, floor: int, since_ms: int, cars: Iterable[int]) -> bool:
        """Report whether the door of one of *cars* has been open at *floor* since *since_ms*."""
        return self._promises.was_open(floor, since_ms, cars)


def _heard_ms(seen: Seen, car: int) -> int:
    """Return how much later than *seen*, an event of a button, the controller of *car* may act on it.

    The news of a press on another panel may be lost for a while, but come too late once the door has closed.
    """
    if seen.kind is EventKind.LAMP:
        return 0
    return HEARD_MS if seen.car == car else MAX_OPEN_MS
