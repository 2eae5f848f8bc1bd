"""The results of an exam as values, which the reports show.

The times of checks, interventions and timelines are in milliseconds since the start of the test.
"""

from enum import StrEnum

from attrs import field, frozen

from elevator.building.elevators import EventKind
from elevator.core.model import Button


class Level(StrEnum):
    """How binding a check is."""

    MUST = "must"
    """The course demands it. A failed check fails the test and the exam."""
    BEYOND = "beyond"
    """Only the specification of this project demands it. A failed check is reported, but fails nothing."""


class Grade(StrEnum):
    """A verdict on a test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNJUDGED = "unjudged"
    """The exam could not run the test to its end, for example because a port was in use."""


@frozen
class Check:
    """An expectation of a test, and whether the group met it."""

    rule: str
    """The rule of `specification.md`, such as L1."""
    level: Level
    passed: bool
    expected: str
    """What should happen, as a sentence without a full stop."""
    found: str
    """What happened."""
    at_ms: int
    car: int | None = None
    """The car that the check concerns; None if it concerns the group."""


@frozen
class Figure:
    """A measured value, such as the time from a press to its lamp."""

    name: str
    value: float
    unit: str


@frozen
class CarEvent:
    """An `Event` of a simulated elevator, with its car. `at_ms` counts from the start of the test."""

    at_ms: int
    car: int
    kind: EventKind
    value: bool | int | str | None
    button: Button | None = None
    floor: int | None = None


@frozen
class Height:
    """The height of a car at a time, in floors. Until its next height, the car stands or moves at a constant speed."""

    at_ms: int
    car: int
    floor: float


@frozen
class Intervention:
    """Something that the test did to the group, such as killing a controller.

    Presses, obstructions and the stop button cause events, but no interventions.
    """

    at_ms: int
    text: str
    car: int | None = None


@frozen
class Timeline:
    """Everything that the drawn timeline of a test shows, except failed checks."""

    cars: int
    floors: int
    end_ms: int
    seen: tuple[CarEvent, ...] = ()
    heights: tuple[Height, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    datagrams: tuple[tuple[int, ...], ...] = ()
    """For each tenth of a second, the number of IP packets that each controller sent; empty without a network."""


@frozen
class Result:
    """The result of one test."""

    name: str
    title: str
    verdict: Grade
    why: str = ""
    """Why the test was skipped, or could not be judged; empty otherwise."""
    checks: tuple[Check, ...] = ()
    figures: tuple[Figure, ...] = ()
    timeline: Timeline | None = None
    late_ms: int = 0
    """The longest delay of the rig itself. Times of the test may be wrong by this much."""
    notes: tuple[str, ...] = ()
    """Remarks for the reader, such as that the test was repeated because the machine was overloaded."""
    log: tuple[str, ...] = field(default=())
    """The last lines that the controllers printed, mixed with notes such as "controller 1 was killed"."""


@frozen
class ExamReport:
    """The results of an exam of one controller."""

    command: str
    """The command that starts a controller, with its placeholders."""
    cars: int
    floors: int
    seed: int
    started: str
    """When the exam began, as local date and time, such as 2026-05-17 14:30."""
    seconds: int
    """How long the exam took."""
    results: tuple[Result, ...]
    """One for each test that has ended. If the user interrupted the exam, some tests are missing."""

    @property
    def passed(self) -> bool:
        """True if at least one test passed, none failed, and none is unjudged."""
        return Grade.PASSED in self._verdicts and not self._verdicts & {Grade.FAILED, Grade.UNJUDGED}

    @property
    def is_incomplete(self) -> bool:
        """True if a test is unjudged and none failed. Whether the controller passes is then unknown."""
        return Grade.UNJUDGED in self._verdicts and Grade.FAILED not in self._verdicts

    @property
    def _verdicts(self) -> set[Grade]:
        return {result.verdict for result in self.results}
