"""Sets up the elevators of a demo and what drives them: this program's nodes, or another program's controllers.

- This process simulates the elevators. Nodes and controllers run in processes of their own, and connect to their
  elevators over TCP.
- Nodes exchange UDP datagrams through a relay that can drop them (building/network.py).
- Each controller of another program gets a host of its own, and a switch joins the hosts, as in an exam
  (exam/sandbox.py). Where that is not allowed, the controllers run on this machine's own network.
- No process and no interface outlives the demo, however it ends: see exam/controllers.py and exam/sandbox.py.
"""

import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from attrs import frozen

import elevator
from elevator.building.building import Building, open_building, random_starts
from elevator.building.control import Refused
from elevator.building.network import ADDRESS, SimulatedNetwork
from elevator.building.shaft import Shaft
from elevator.core.messages import Heartbeat
from elevator.exam import setup
from elevator.exam.controllers import Controllers, Launch
from elevator.exam.sandbox import Host, enter_namespace
from elevator.exam.setup import Subject, joined_hosts
from elevator.exam.switch import EthernetSwitch


class DemoNetwork(Protocol):
    """The network between the nodes or controllers, as far as the page can change it."""

    loss: float
    """Probability, 0 to 1, that a packet is lost, independently for each receiver."""
    unplugged: set[int]
    """The numbers of the nodes or controllers that are unplugged: they neither send nor receive. Only `plug` changes
    this set."""

    def plug(self, number: int, on: bool, /) -> None:
        """Plug in the cable of node or controller *number* if *on*, else unplug it; raise OSError if that fails."""


@frozen
class DemoGroup:
    """The elevators of a demo and what drives them."""

    building: Building
    controllers: Controllers
    network: DemoNetwork | None
    """None if the demo cannot change the network."""
    heard: Mapping[int, tuple[int, Heartbeat]] | None = None
    """The arrival time (ms) and content of the last heartbeat of each node that has sent one, by node id. None if
    another program's controllers drive the cars."""
    start_gap_s: float = 0.0
    """The time between the starts of successive controllers."""

    @property
    def noun(self) -> str:
        return "controller" if self.heard is None else "node"


@contextmanager
def own_nodes(cars: int, floors: int, directory: str, rng: random.Random) -> Iterator[DemoGroup]:
    """Set up elevators and nodes, but do not start the nodes yet. They keep their records in *directory*.

    Raise Refused if ports cannot be opened.
    """
    with ExitStack() as stack:
        building = open_building(random_starts(Shaft(floors), cars, rng))
        stack.callback(building.close)
        name = f"demo-{os.getpid()}"
        try:
            network = SimulatedNetwork(cars, name, rng)
        except OSError as error:
            raise Refused(f"cannot reserve UDP ports for the nodes: {error.strerror}") from None
        stack.callback(network.close)
        network.register(building.watch, lambda: building.clock_us() // 1000)
        launches = [
            _node_launch(number, port, net_port, floors, name, directory)
            for number, (port, net_port) in enumerate(zip(building.ports, network.ports, strict=True))
        ]
        nodes = _prepare_controllers(stack, launches, directory, "node", building)
        yield DemoGroup(building, nodes, network, network.heard)


@contextmanager
def other_controllers(
    subject: Subject, cars: int, floors: int, directory: str, rng: random.Random, obstacle: str
) -> Iterator[DemoGroup]:
    """Set up elevators and the controllers of *subject* for them, but do not start the controllers yet.

    If *obstacle* is empty, move this process to another network namespace, where it stays, and give each controller a
    namespace of its own. Otherwise *obstacle* says why that is not allowed. The controllers then use this machine's
    network, and the demo cannot change it. Each controller gets a directory of its own in *directory*. Raise Refused if
    a namespace cannot be created or a port cannot be opened.
    """
    hosts: Sequence[Host | None] = [None] * cars
    switch: EthernetSwitch | None = None
    with ExitStack() as stack:
        if not obstacle:
            try:
                enter_namespace()
                hosts, switch = stack.enter_context(joined_hosts(cars, rng))
            except OSError as error:
                raise Refused(f"cannot create a network namespace for each car: {error.strerror}") from None
        building = setup.open_building(subject.port, cars, floors, hosts, rng)
        stack.callback(building.close)
        if switch is not None:
            switch.is_counting = False
            switch.register(building.watch)
        launches = [
            setup.prepare_launch(subject, car, cars, floors, Path(directory), hosts[car]) for car in range(cars)
        ]
        controllers = _prepare_controllers(stack, launches, directory, "controller", building)
        if obstacle:
            controllers.log.append(obstacle)
        yield DemoGroup(building, controllers, switch, start_gap_s=subject.start_gap_s)


def _prepare_controllers(
    stack: ExitStack, launches: Sequence[Launch], directory: str, noun: str, building: Building
) -> Controllers:
    """Return the controllers that *launches* describe, not yet started. Closing *stack* stops them."""
    controllers = Controllers(launches, directory, noun)
    stack.callback(controllers.stop, lambda: building.run_once(0.01))
    return controllers


def _node_launch(number: int, port: int, net_port: int, floors: int, group: str, directory: str) -> Launch:
    """Return how to start node *number*. Its record is in a directory of its own in *directory*."""
    options = {
        "id": number,
        "port": port,
        "floors": floors,
        "net-port": net_port,
        "broadcast": ADDRESS,
        "group": group,
        "state-dir": Path(directory) / str(number),
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # Python must find this package even if it is not installed.
    package = str(Path(elevator.__file__).parent.parent)
    search_path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return Launch([*_program(), *flags], {**os.environ, "PYTHONPATH": search_path})


def _program() -> list[str]:
    """Return the command that starts this program."""
    if "__compiled__" in globals():
        # In a Nuitka build, this is the absolute path of the unpacked program, so the nodes run the same build.
        return [sys.argv[0]]
    return [sys.executable, "-m", "elevator"]
