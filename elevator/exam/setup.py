"""Sets up what a group of controllers needs: a machine and an elevator server for each, and a switch between them.

The exam does this for each test, and `elevator demo` with a COMMAND once. If network namespaces are not allowed, there
is no switch, and all controllers use this machine's network.
"""

import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from attrs import frozen

from elevator.building.building import Building, listen, random_starts
from elevator.building.shaft import Shaft
from elevator.exam.controllers import Launch
from elevator.exam.sandbox import Host, open_gateway, open_hosts
from elevator.exam.switch import EthernetSwitch


class BadCommand(Exception):
    """The exam or the demo cannot run, usually because of its arguments. The message is one line with the reason."""


@frozen
class Subject:
    """The controller to examine or to demonstrate, and how to start it."""

    command: Sequence[str]
    """Program and arguments, with placeholders such as {id}; see `fill`."""
    environment: Mapping[str, str]
    """The whole environment of the controllers. Its values may contain placeholders too."""
    first_id: int = 0
    port: int = 15657
    """Port of the first elevator server; the others have the next ports."""
    per_car: Mapping[str, Sequence[str]] = {}
    """Additional placeholders: for each name, its value for each car. They may replace {id} and other standard ones."""
    in_own_directory: bool = False
    """True if each controller's working directory is its {dir}; false if it is the directory of this process."""
    start_gap_s: float = 0.0


def fill(text: str, values: Mapping[str, object]) -> str:
    """Replace each {name} in *text* by its value in *values*. Placeholders in these values remain.

    Leave other braces alone: they may belong to a shell.
    """
    return re.sub(r"\{([^{}]*)\}", lambda found: str(values.get(found[1], found[0])), text)


def prepare_launch(subject: Subject, car: int, cars: int, floors: int, directory: Path, host: Host | None) -> Launch:
    """Return how to start the controller of *car* on *host* (None: this machine). Create its {dir} in *directory*."""
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
    if "/" in program:  # The path is relative to the directory of this process, even with --own-dir.
        program = str(Path.cwd() / program)
    environment = {name: fill(value, values) for name, value in subject.environment.items()}
    where = str(own) if subject.in_own_directory else None
    return Launch([program, *arguments], environment, where, *([] if host is None else [host.entered]))


def check_program(subject: Subject, cars: int, floors: int) -> None:
    """Raise BadCommand if a controller's program does not exist or is not executable.

    A program in {dir} is not checked, because {dir} is still empty.
    """
    with tempfile.TemporaryDirectory() as directory:
        for car in range(cars):
            started = prepare_launch(subject, car, cars, floors, Path(directory), None)
            program = started.command[0]
            if directory not in program and shutil.which(program, path=started.environment.get("PATH")) is None:
                why = "it is not executable" if Path(program).is_file() else "there is no such program"
                raise BadCommand(f"cannot start {program}: {why}")


@contextmanager
def joined_hosts(count: int, rng: random.Random) -> Iterator[tuple[list[Host], EthernetSwitch]]:
    """Yield *count* new hosts, and a switch that connects them and a gateway. After the block, close all of them.

    Raise OSError if they cannot be created. The caller must have called `enter_namespace`.
    """
    with ExitStack() as stack:
        hosts = open_hosts(count)
        for host in hosts:
            stack.callback(host.close)
        gateway = open_gateway()
        stack.callback(gateway.close)
        yield hosts, EthernetSwitch(hosts, gateway, rng, lambda: time.monotonic_ns() // 1_000_000)


def open_building(port: int, cars: int, floors: int, hosts: Sequence[Host | None], rng: random.Random) -> Building:
    """Return a building with *cars* cars at random places, and an elevator server for each on the ports from *port* on.

    The server of a car uses the loopback interface of its controller's host (None: of this machine). Raise Refused if a
    port cannot be opened.
    """

    def server_context(car: int) -> AbstractContextManager[None]:
        host = hosts[car]
        return nullcontext() if host is None else host.entered()

    with ExitStack() as stack:
        listeners = []
        for car in range(cars):
            with server_context(car):
                listeners.append(stack.enter_context(listen("127.0.0.1", port + car)))
        stack.pop_all()
    building = Building(random_starts(Shaft(floors), cars, rng), listeners)
    building.server_context = server_context
    return building
