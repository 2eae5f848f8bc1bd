"""The test rig, with which a test of the exam acts on a group of controllers, waits, and checks.

`Rig.now_ms`, and the times of events, calls and checks, are in milliseconds since the rig was created. While a test
waits, the rig moves the cars, answers the controllers, forwards their packets (if there is a switch), and passes all
events to the judge.
"""

import random
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from attrs import evolve, frozen

from elevator.building.building import Building
from elevator.building.occupied_building import OccupiedBuilding
from elevator.building.passengers import PassengerFlow, Profile, Tally, tally
from elevator.core.model import Button, Buttons
from elevator.exam.controllers import Controllers
from elevator.exam.group import ControllerGroup, PressedCall
from elevator.exam.judge import TOLERANCE_MS, Judge
from elevator.exam.results import CarEvent, Check, Figure, Grade, Level, Timeline
from elevator.exam.switch import EthernetSwitch

POLL_S = 0.01
"""The longest wait for events in one pass. `Rig.wait` checks its condition before each pass."""
READY_S = 60.0
"""The default time limit for a controller to start and bring its car to a floor."""
SERVED_S = 60
"""The time limit for calls to be served, or for the last passengers to reach their destinations. It counts from the
beginning of the check, not from the press."""


class Abandoned(Exception):
    """The test ends early, after a failed check that makes the remaining ones meaningless."""


class CannotStart(Exception):
    """A controller's program cannot be executed. The message is one line with the reason."""


@frozen
class ExamTest:
    """A test of the exam: what it does and what it needs."""

    name: str
    title: str
    run: Callable[["Rig"], None]
    cars: int | None = None
    """The number of cars in the test; None: all cars of the exam."""
    needs_network: bool = False
    """True if the test impairs the network or injects datagrams. The exam skips such a test if it cannot create network
    namespaces, or has only one car."""
    seconds: int = 30
    """The planned duration of the test, for the estimate of the time left. A fast controller needs less."""
    level: Level = Level.MUST
    """BEYOND if the course assumes that the faults of this test never happen: then all its checks are *beyond*."""


class Rig(ControllerGroup):
    """The rig of one test: a group of controllers, and the checks and figures that the test has collected."""

    def __init__(
        self,
        building: Building,
        controllers: Controllers,
        switch: EthernetSwitch | None,
        rng: random.Random,
        meanwhile: Callable[[], None] = lambda: None,
        start_gap_s: float = 0.0,
        ready_s: float = READY_S,
    ) -> None:
        """Observe *building*. *switch* connects the controllers' machines; None: all use the network of this machine.

        The rig calls *meanwhile* in each pass of its loop; an exception from it ends the test. *start_gap_s* is the
        time between the starts of two controllers. *ready_s* is the time limit for a controller to start and bring its
        car to a floor.
        """
        self._meanwhile = meanwhile
        self._start_gap_s = start_gap_s
        self._ready_s = ready_s
        super().__init__(building, controllers, switch)
        self.rng = rng
        self.late_ms = 0
        """The longest delay of a pass so far. A pass should end within its timeout after the previous pass."""
        self._ended_ms = 0.0
        """When the last pass ended, on the monotonic clock; 0 if the time since then does not count as a delay."""
        self._checks: list[Check] = []
        self._figures: list[Figure] = []
        self.remarks: list[str] = []
        self.recording.observers.append(self._observe)
        self._judge = Judge(self.start_floors)
        self._each_pass: Callable[[], object] = lambda: None

    # Time

    def run_once(self, timeout_s: float = POLL_S) -> None:
        """Run one pass: wait up to *timeout_s* for events. Then move cars, answer controllers, and forward packets.

        Also read the controllers' output, judge, and call *meanwhile* and the function of `every`.
        """
        now_ms = self.building.clock_us() / 1000
        if self.switch is not None and (due_ms := self.switch.due_ms()) is not None:
            timeout_s = min(timeout_s, max(0.0, (due_ms - now_ms) / 1000))
        if "frozen" in self.controllers.states or (self.switch is not None and self.switch.loses_packets):
            self._judge.note_disturbance(self.now_ms)
        self.building.run_once(timeout_s)
        if self.switch is not None:
            self.switch.advance(self.building.clock_us() // 1000)
        self.controllers.poll()
        self._each_pass()
        self._meanwhile()
        self._checks += self._judge.resolve_due(self.now_ms)
        before_ms, self._ended_ms = self._ended_ms, self.building.clock_us() / 1000
        self.late_ms = max(self.late_ms, round(self._ended_ms - (before_ms or now_ms) - timeout_s * 1000))

    @contextmanager
    def every(self, seconds: float, do: Callable[[], object]) -> Iterator[None]:
        """Call *do* at intervals of *seconds* while the block waits. If *seconds* is 0, call it in each pass.

        A nested block suspends the outer one.
        """
        due_ms = self.now_ms

        def each_pass() -> None:
            nonlocal due_ms
            if self.now_ms >= due_ms:
                due_ms = max(due_ms + round(seconds * 1000), self.now_ms - 100)
                do()

        before, self._each_pass = self._each_pass, each_pass
        try:
            yield
        finally:
            self._each_pass = before

    def run(self, seconds: float) -> None:
        """Let *seconds* plus TOLERANCE_MS pass."""
        self.wait(lambda: False, seconds)

    def wait(self, condition: Callable[[], object], within_s: float) -> bool:
        """Wait until *condition* is true, at most *within_s* plus TOLERANCE_MS. Return whether it became true."""
        end_ms = self.now_ms + round(within_s * 1000) + TOLERANCE_MS
        while not condition():
            if self.now_ms >= end_ms:
                return False
            self.run_once(min(POLL_S, (end_ms - self.now_ms) / 1000))
        return True

    def start(self, cars: Collection[int] | None = None) -> None:
        """Start the controllers of *cars* (default: all). Wait until they are ready, and then for another second.

        Record a check for each controller. If one exits or is not ready in time, raise Abandoned without checking the
        rest. Raise CannotStart if a program cannot be executed.
        """
        for car in sorted(range(self.cars) if cars is None else cars):
            try:
                self.controllers.start(car)
            except OSError as error:
                program = error.filename or self.controllers.launches[car].command[0]
                raise CannotStart(f"cannot start {program}: {error.strerror}") from None
            if not self.healthy:  # The start may have taken long, but no controller was waiting for the rig.
                self._ended_ms = 0.0
            self.note(f"start controller {car}", car)
            self.run(self._start_gap_s)
        for car in sorted(range(self.cars) if cars is None else cars):
            self.wait(lambda car=car: self.is_ready(car) or self.has_ended(car), self._ready_s)  # type: ignore[misc]
            ready = self.is_ready(car)
            limit = f"controller {car} connects and brings its car to a floor within {self._ready_s:g} s"
            self.check(ready, "C4", Level.MUST, limit, "it did" if ready else self.state_of(car), car)
            if not ready:
                raise Abandoned
        self.run(1.0)

    # Judging

    def was_served(self, call: PressedCall, cars: Collection[int]) -> bool:
        """Return whether one of *cars* has had its door open at the floor of *call* since the press."""
        return self._judge.was_open(call.floor, call.pressed_ms, cars)

    def require_survivors(self) -> list[int]:
        """Return the healthy cars. If there are none, record a failed check and raise Abandoned."""
        if not self.healthy:
            states = ", ".join(self.state_of(car) for car in range(self.cars))
            expected = "at least one car without an injected fault has a connected controller"
            self.check(False, "S2", Level.MUST, expected, states)
            raise Abandoned
        return self.healthy

    def freeze(self, car: int, on: bool) -> None:
        """Freeze all processes of the controller of *car* and count the car as `faulty`, or undo both."""
        self._judge.note_freeze(car, on, self.now_ms)
        (self.faulty.add if on else self.faulty.discard)(car)
        self.controllers.freeze(car, on)
        self.note(f"{'freeze' if on else 'resume'} controller {car}", car)

    def add_remark(self, text: str) -> None:
        self.remarks.append(text)

    def _observe(self, event: CarEvent) -> None:
        self._checks += self._judge.observe(event)

    def check(self, passed: bool, rule: str, level: Level, expected: str, found: str, car: int | None = None) -> bool:
        """Record a check of *rule*; return *passed*. See `Check`."""
        self._checks.append(Check(rule, level, passed, expected, found, self.now_ms, car))
        return passed

    def expect(
        self,
        condition: Callable[[], object],
        within_s: float,
        rule: str,
        expected: str,
        level: Level = Level.MUST,
        found: Callable[[], str] | None = None,
        car: int | None = None,
    ) -> bool:
        """Check that *condition* becomes true within *within_s*. Return whether it did.

        *expected* says what should happen; the time limit is appended. *found* describes what happened instead; by
        default, it lists the lit lamps on the panels of all healthy cars.
        """
        began_ms = self.now_ms
        passed = self.wait(condition, within_s)
        instead = (found or self.describe_panels)() if not passed else f"after {(self.now_ms - began_ms) / 1000:.2f} s"
        return self.check(passed, rule, level, f"{expected} within {within_s:g} s", instead, car)

    def add_figure(self, name: str, value: float, unit: str) -> None:
        """Add a measured value. Of several with the same name and unit, the report shows the median and the maximum."""
        self._figures.append(Figure(name, value, unit))

    def expect_lit(
        self,
        call: PressedCall,
        cars: Collection[int],
        within_s: float,
        level: Level = Level.MUST,
        servers: Collection[int] | None = None,
    ) -> bool:
        """Check that within *within_s* from now, the lamp of *call* is lit on the panels of all *cars*.

        The check also passes if one of *servers* (default: *cars*) serves the call in that time. If all lamps are lit,
        add the time since the press as a figure. Return whether the check passed.
        """
        may_serve = cars if servers is None else servers

        def is_lit() -> bool:
            return all(self.is_lit(car, call) for car in cars)

        rule = "L3" if call.button is Button.CAB else "L1"
        panels = f"panel{'' if len(cars) == 1 else 's'} {', '.join(map(str, cars))}"
        expected = f"the lamp of the {call} lights on {panels}"
        passed = self.expect(lambda: is_lit() or self.was_served(call, may_serve), within_s, rule, expected, level)
        if is_lit():
            self.add_figure("press to lamp", self.now_ms - call.pressed_ms, "ms")
        return passed

    def expect_served(self, buttons: Collection[Button] = (*Button,), level: Level = Level.MUST) -> bool:
        """Check that within SERVED_S, every call of the kinds *buttons* that has lit a lamp is served.

        A call does not count as served while a healthy car's panel shows it. Ignore the cab calls of cars that are not
        healthy.
        """
        kind = "call" if len(buttons) == len(Button) else "cab call" if Button.CAB in buttons else "hall call"
        return self.expect(
            lambda: not self._judge.unserved(self.healthy, buttons),
            SERVED_S,
            "G1",
            f"every {kind} that lit a lamp is served",
            level,
            lambda: "not served or still lit: " + ", ".join(self._judge.unserved(self.healthy, buttons)),
        )

    def expect_all_served(self, level: Level = Level.MUST) -> bool:
        """Check that all calls that lit a lamp are served, and that then the panels of all healthy cars are dark.

        The stop lamps do not count. Return whether both checks passed.
        """
        served = self.expect_served(level=level)
        dark = self.expect(
            lambda: not any(self.elevator(car).lamps != Buttons() for car in self.healthy),
            5,
            "L4",
            "after all calls have been served, all lamps are dark",
            level,
        )
        return served and dark

    # Passengers

    def carry(self, profile: Profile, per_minute: float, seconds: int) -> Tally:
        """Let passengers arrive for *seconds*. Return the statistics of their waiting times.

        Check that all reach their destinations at most SERVED_S after the arrivals end.
        """
        now_ms = self.building.clock_us() // 1000
        flow = PassengerFlow(
            self.rng.randrange(2**32), self.cars, self.floors, per_minute, now_ms, now_ms + seconds * 1000, profile
        )
        occupied = OccupiedBuilding(self.building, flow)
        with self.every(0, occupied.step_passengers):
            self.run(seconds)
            self.expect(
                lambda: occupied.is_empty,
                SERVED_S,
                "G1",
                "after the last arrival, all passengers reach their destinations",
                found=lambda: f"{len(occupied.crowd.present)} passengers still wait or ride",
            )
        return tally(occupied.crowd, self.building.clock_us() // 1000)

    def finish(self, level: Level = Level.MUST) -> tuple[Grade, tuple[Check, ...], tuple[Figure, ...], Timeline]:
        """Return the verdict on the test, its checks in order of time, its figures and its timeline.

        First record a failed check for each controller that has exited by itself and was not restarted or killed since,
        unless its failed start (C4) is recorded already. If *level* is BEYOND, all checks become *beyond*.
        """
        reported = {check.car for check in self._checks if not check.passed and check.rule == "C4"}
        for car in filter(self.has_ended, sorted(set(range(self.cars)) - reported)):
            self.check(False, "G1", Level.MUST, "no controller exits by itself", self.state_of(car), car)
        checks = [*self._checks, *self._judge.passed(self.now_ms)]
        if level is Level.BEYOND:
            checks = [evolve(check, level=level) for check in checks]
        failed = any(not check.passed and check.level is Level.MUST for check in checks)
        sent = [] if self.switch is None else self.switch.sent_per_100ms
        verdict = Grade.FAILED if failed else Grade.PASSED
        ordered = tuple(sorted(checks, key=lambda check: check.at_ms))
        return verdict, ordered, tuple(summarize(self._figures)), self.recording.timeline(sent)


def summarize(figures: Iterable[Figure]) -> list[Figure]:
    """Return *figures*, but replace those that share name and unit by their median and their highest value."""
    values: dict[tuple[str, str], list[float]] = {}
    for each in figures:
        values.setdefault((each.name, each.unit), []).append(each.value)
    return [
        figure
        for (name, unit), each in values.items()
        for figure in (
            [Figure(name, each[0], unit)]
            if len(each) == 1
            else [
                Figure(f"{name} (median)", sorted(each)[len(each) // 2], unit),
                Figure(f"{name} (max)", max(each), unit),
            ]
        )
    ]
