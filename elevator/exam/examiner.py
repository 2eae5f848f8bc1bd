"""Runs the tests of the exam: sets up a building, machines and controllers for each, and tears them down."""

import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import evolve, frozen

from elevator.exam.controllers import Controllers
from elevator.exam.results import Grade, Result
from elevator.exam.rig import READY_S, Abandoned, CannotStart, ExamTest, Rig
from elevator.exam.sandbox import Host
from elevator.exam.setup import BadCommand, Subject, joined_hosts, open_building, prepare_launch

LATE_MS = 100
"""If the rig was late by more than this, the machine was overloaded, and the exam repeats the test once."""
LOG_LINES = 40
NICENESS = 5
"""The niceness of controllers relative to the rig; see nice(1). With the same priority, controllers that poll in busy
loops would make the rig late on a machine with few cores."""


@frozen
class ExamSetting:
    cars: int
    """The number of cars, unless a test needs another number (`ExamTest.cars`)."""
    floors: int
    seed: int
    has_network: bool
    """True if each controller gets a machine of its own; see sandbox.py."""
    keep: Path | None = None
    """Where to keep the controllers' directories and logs; None: write no logs, and delete the directories after
    each test."""
    ready_s: float = READY_S
    """The time limit for a controller to start and bring its car to a floor."""


def examine(test: ExamTest, subject: Subject, setting: ExamSetting, meanwhile: Callable[[], None]) -> Result:
    """Run *test*, and repeat it once if the machine was overloaded. Return the last result.

    The rig calls *meanwhile* in each pass of its loop. An exception from *meanwhile* ends the test and propagates.
    Raise BadCommand or Refused if the test cannot run.
    """
    result = _run(test, subject, setting, meanwhile)
    if result.late_ms <= LATE_MS:
        return result
    again = _run(test, subject, setting, meanwhile, "-repeated")
    late = f"the machine was overloaded: the exam was up to {again.late_ms} ms late"
    notes = ("repeated, because the machine was overloaded", *((late,) if again.late_ms > LATE_MS else ()))
    return evolve(again, notes=(*again.notes, *notes))


def _run(
    test: ExamTest, subject: Subject, setting: ExamSetting, meanwhile: Callable[[], None], suffix: str = ""
) -> Result:
    """Run *test* once. With `--keep`, its files stay in a directory with the name of the test, followed by *suffix*."""
    cars = setting.cars if test.cars is None else test.cars
    rng = random.Random(f"{setting.seed}/{test.name}")
    with ExitStack() as stack:
        if setting.keep is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elevator-exam-")))
        else:
            directory = setting.keep / f"{test.name}{suffix}"
            directory.mkdir(parents=True)
        hosts: Sequence[Host | None] = [None] * cars
        switch = None
        if setting.has_network:
            try:
                hosts, switch = stack.enter_context(joined_hosts(cars, rng))
            except OSError as error:
                raise BadCommand(f"cannot create {cars} network namespaces: {error.strerror}") from None
        building = open_building(subject.port, cars, setting.floors, hosts, rng)
        stack.callback(building.close)
        if switch is not None:
            switch.register(building.watch)
        launches = [prepare_launch(subject, car, cars, setting.floors, directory, hosts[car]) for car in range(cars)]
        scratch, logs = (str(directory), None) if setting.keep is None else ("", directory)
        controllers = Controllers(launches, scratch, "controller", logs, NICENESS)
        stack.callback(controllers.stop, lambda: building.run_once(0.01))
        rig = Rig(building, controllers, switch, rng, meanwhile, subject.start_gap_s, setting.ready_s)
        try:
            test.run(rig)
        except Abandoned:
            pass
        except CannotStart as error:
            raise BadCommand(str(error)) from None
        verdict, checks, figures, timeline = rig.finish(test.level)
        return Result(
            test.name,
            test.title,
            verdict,
            checks=checks,
            figures=figures,
            timeline=timeline,
            late_ms=rig.late_ms,
            notes=tuple(rig.remarks),
            log=tuple(controllers.log)[-LOG_LINES:],
        )


def skipped(test: ExamTest, why: str) -> Result:
    return Result(test.name, test.title, Grade.SKIPPED, why)


def unjudged(test: ExamTest, why: str) -> Result:
    return Result(test.name, test.title, Grade.UNJUDGED, why)
