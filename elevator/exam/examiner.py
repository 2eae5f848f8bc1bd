"""Runs tests: sets up a building, machines and controllers for each, and tears them down."""

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import evolve, frozen

from elevator.building.building import Building, listen, random_starts
from elevator.building.shaft import Shaft
from elevator.exam.bench import Abandoned, Bench, ExamTest
from elevator.exam.controllers import Controllers, Launch
from elevator.exam.results import Grade, Result
from elevator.exam.sandbox import Host, open_gateway, open_hosts
from elevator.exam.switch import EthernetSwitch

LATE_MS = 100
"""If the bench was later than this, the machine was overloaded: the test is repeated."""
LOG_LINES = 40


class BadCommand(Exception):
    """Raised if the controller's command cannot be used. The text is one line with the reason."""


@frozen
class Subject:
    """The controller to examine, and how to start it."""

    command: Sequence[str]
    """Program and arguments, with placeholders such as {id}; see `fill`."""
    environment: Mapping[str, str]
    """Environment of the controllers; the values may have placeholders too."""
    first_id: int = 0
    port: int = 15657
    """Port of the first elevator server; those of the others follow."""
    per_car: Mapping[str, Sequence[str]] = {}
    """More placeholders, with a value for each car."""
    in_own_directory: bool = False
    """True if each controller's working directory is its {dir}; otherwise it is that of this process."""
    start_gap_s: float = 0.0


@frozen
class ExamSetting:
    """What an exam uses for all tests."""

    cars: int
    floors: int
    seed: int
    has_network: bool
    """True if each controller gets a machine of its own; see sandbox.py."""
    keep: Path | None = None
    """Directory for the controllers' directories and logs; None: deleted after each test."""


def fill(text: str, values: Mapping[str, object]) -> str:
    """Replace each {name} in *text* by its value. Leave other braces alone, so that shell text passes through."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def launch(subject: Subject, car: int, cars: int, floors: int, directory: Path, host: Host | None) -> Launch:
    """Return how to start the controller of *car*. Its own directory is made below *directory*."""
    own = directory / f"car-{car}"
    own.mkdir(parents=True, exist_ok=True)
    values: dict[str, object] = {
        "id": subject.first_id + car,
        "port": subject.port + car,
        "cars": cars,
        "floors": floors,
        "dir": own,
    }
    values |= {name: choices[car] for name, choices in subject.per_car.items()}
    program, *arguments = (fill(part, values) for part in subject.command)
    if "/" in program:
        program = str(Path.cwd() / program)
    environment = {name: fill(value, values) for name, value in subject.environment.items()}
    where = str(own) if subject.in_own_directory else None
    return Launch([program, *arguments], environment, where, *([] if host is None else [host.entered]))


def examine(test: ExamTest, subject: Subject, setting: ExamSetting, meanwhile: Callable[[], None]) -> Result:
    """Run *test*, again if the machine was overloaded, and return its result. Call *meanwhile* in each turn."""
    result = _run(test, subject, setting, meanwhile)
    if result.late_ms <= LATE_MS:
        return result
    again = _run(test, subject, setting, meanwhile)
    late = f"the machine was overloaded: the bench was up to {again.late_ms} ms late"
    notes = ("repeated, because the machine was overloaded", *((late,) if again.late_ms > LATE_MS else ()))
    return evolve(again, notes=(*again.notes, *notes))


def _run(test: ExamTest, subject: Subject, setting: ExamSetting, meanwhile: Callable[[], None]) -> Result:
    cars = setting.cars if test.cars is None else test.cars
    rng = random.Random(f"{setting.seed}/{test.name}")
    with ExitStack() as stack:
        if setting.keep is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elevator-exam-")))
        else:
            directory = setting.keep / test.name
            directory.mkdir(parents=True, exist_ok=True)
        hosts: list[Host | None] = [None] * cars
        switch = None
        if setting.has_network:
            machines, gateway = open_hosts(cars), open_gateway()
            for machine in (*machines, gateway):
                stack.callback(machine.close)
            hosts = [*machines]
            switch = EthernetSwitch(machines, gateway, rng, lambda: time.monotonic_ns() // 1_000_000)
        building = _open_building(subject.port, cars, setting.floors, hosts, rng)
        stack.callback(building.close)
        if switch is not None:
            switch.register(building.watch)
        launches = [launch(subject, car, cars, setting.floors, directory, hosts[car]) for car in range(cars)]
        scratch = str(directory) if setting.keep is None else ""
        controllers = Controllers(launches, scratch, "controller", directory)
        stack.callback(controllers.stop, lambda: building.turn(0.01))
        bench = Bench(building, controllers, switch, rng, meanwhile, subject.start_gap_s)
        try:
            test.run(bench)
        except Abandoned:
            pass
        except OSError as error:
            raise BadCommand(f"cannot start {launches[0].command[0]}: {error.strerror}") from None
        verdict, checks, figures, timeline = bench.finish()
        return Result(
            test.name,
            test.title,
            verdict,
            checks=checks,
            figures=figures,
            timeline=timeline,
            late_ms=bench.late_ms,
            notes=tuple(bench.remarks),
            log=tuple(controllers.log)[-LOG_LINES:],
        )


def _open_building(port: int, cars: int, floors: int, hosts: Sequence[Host | None], rng: random.Random) -> Building:
    """Open an elevator server for each car, at the loopback address of its controller's machine."""
    listeners = []
    for car, host in enumerate(hosts):
        if host is None:
            listeners.append(listen("127.0.0.1", port + car))
        else:
            with host.entered():
                listeners.append(listen("127.0.0.1", port + car))
    return Building(random_starts(Shaft(floors), cars, rng), listeners)


def skipped(test: ExamTest, why: str) -> Result:
    return Result(test.name, test.title, Grade.SKIPPED, why)
