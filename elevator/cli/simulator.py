"""`elevator sim`: simulates elevators, and can show them in the terminal and on a page."""

import random
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from elevator.building import shaft as physics
from elevator.building import view
from elevator.building.building import Building, listen, open_building, random_starts
from elevator.building.control import Refused
from elevator.building.control_socket import open_control
from elevator.building.elevators import EventKind
from elevator.building.occupied_building import OccupiedBuilding
from elevator.building.passengers import PassengerFlow
from elevator.building.shaft import Shaft
from elevator.cli.simulator_options import keys_of, options
from elevator.cli.wording import counted
from elevator.processes.child import Signals

if TYPE_CHECKING:
    from elevator.building.card_line import CardLine
    from elevator.building.terminal import Terminal
    from elevator.ui.web import Web

SHOW_MS = 40
"""Interval between updates of terminal and page."""
NOTES = 6
"""How many of the newest controller errors the terminal and the page show."""
ERRORS = {
    EventKind.BAD.value: "bad request: ",
    EventKind.MISBEHAVIOUR.value: "unsafe: ",
    EventKind.RELOAD.value: "",
}
"""For each kind of event that `ControllerErrors` reports, the text to print before the event's value."""


def main(argv: list[str]) -> int:
    """Run `elevator sim` until a signal arrives; return the exit status.

    If it draws in the terminal, it also ends when the terminal or the parent process is gone.
    """
    arguments, ignored = options(argv)
    for line in ignored:
        print(f"elevator sim: {line}", file=sys.stderr)
    with ExitStack() as stack:
        try:
            building = _open_building(arguments)
            stack.callback(building.close)
            control = open_control(building, arguments.control)
            stack.callback(control.close)
            cards = [] if arguments.card is None else attach_cards(building, arguments.card)
            for card in cards:
                stack.callback(card.unplug)
            occupied = OccupiedBuilding(building, _flow(arguments, building.clock_us() // 1000))
            web = open_page(building, occupied, *arguments.web) if arguments.web else None
        except Refused as refusal:
            print(f"elevator sim: {refusal}", file=sys.stderr)
            return 2
        signals = Signals()
        stack.callback(signals.close)
        banner = [
            ready_line(building.ports, control.port),
            *(f"card of elevator {car}: {card.path}" for car, card in enumerate(cards)),
        ]
        if web is not None:
            stack.callback(web.close)
            banner.append(f"page: {web.address}")
        terminal = None
        if not arguments.headless and sys.stdin.isatty() and sys.stdout.isatty():
            from elevator.building.terminal import Terminal
            from elevator.building.terminal_picture import Appearance

            terminal = Terminal(building, Appearance(arguments.light_on, arguments.light_off, keys_of(arguments)))
            terminal.enter()
            stack.callback(terminal.leave)
        else:
            print("\n".join(banner), flush=True)
        _run(occupied, web, terminal, [*ignored, *banner], lambda: signals.received is not None)
    return 0


def _open_building(arguments: Namespace) -> Building:
    shaft = Shaft(arguments.numfloors, arguments.travel_ms, arguments.passing_ms)
    if arguments.at is None:
        shafts = random_starts(shaft, arguments.cars, random.Random(arguments.seed))
    else:
        shafts = [physics.put(shaft, arguments.at, 0)] * arguments.cars
    return open_building(shafts, arguments.host, arguments.port, arguments.press_ms, arguments.stop_on_disconnect)


def _flow(arguments: Namespace, now_ms: int) -> PassengerFlow:
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    return PassengerFlow(seed, arguments.cars, arguments.numfloors, arguments.rate, now_ms)


def attach_cards(building: Building, prefix: str) -> "list[CardLine]":
    """Attach a simulated I/O card to each elevator; raise Refused if that fails.

    If *prefix* is not empty, create a symbolic link to the serial port of each card. The path of the link is *prefix*
    followed by the number of the elevator.
    """
    from elevator.building.card_line import CardLine

    cars = range(len(building.servers))
    try:
        return [CardLine(building, car, Path(f"{prefix}{car}") if prefix else None) for car in cars]
    except OSError as error:
        raise Refused(f"cannot create a card: {error.strerror}") from None


def open_page(building: Building, occupied: OccupiedBuilding, host: str, port: int) -> "Web":
    """Serve a page that shows *occupied*; raise Refused if listening at *host* and *port* fails."""
    from elevator.ui.web import Web

    return Web(listen(host, port), building.watch, occupied.handle, host)


def _run(
    occupied: OccupiedBuilding,
    web: "Web | None",
    terminal: "Terminal | None",
    banner: list[str],
    is_ended: Callable[[], bool],
) -> None:
    building = occupied.building
    errors = ControllerErrors()
    notes: deque[str] = deque(maxlen=NOTES)
    shown_ms = 0
    fixed = {"building": view.building(occupied.crowd.flow.floors, occupied.crowd.flow.cars)}
    while not is_ended() and not (terminal is not None and terminal.is_over):
        # Signals do not interrupt the wait, so it must be short.
        building.run_once(0.1 if web is None and terminal is None and occupied.is_empty else 0.01)
        now_ms = occupied.step_passengers()
        for line in errors.new(building):
            notes.append(line)
            if terminal is None:
                print(line, flush=True)
        if now_ms >= shown_ms + SHOW_MS:
            shown_ms = now_ms
            if web is not None:
                web.show({**fixed, **occupied.scene(), "said": list(notes)} if web.is_page_open else {})
            if terminal is not None:
                terminal.paint([*banner, *notes])


def ready_line(ports: list[int], control_port: int) -> str:
    where = f"{'port' if len(ports) == 1 else 'ports'} {', '.join(map(str, ports))}"
    return f"simulating {counted(len(ports), 'elevator')} on {where}, control socket on port {control_port}"


class ControllerErrors:
    """Reports the errors of controllers: bad requests, requests to reload, and unsafe commands.

    For each car, it reports at most one error of each of these three kinds per second.
    """

    def __init__(self) -> None:
        self._next = 0
        self._reported_ms: dict[tuple[object, object], float] = {}

    def new(self, building: Building) -> Iterable[str]:
        """Yield a line for each error since `new` last ran, except those that exceed the limit."""
        if self._next == building.history.next_event:
            return
        history = building.history.since(self._next)
        self._next = history["next"]
        for event in history["events"]:
            key = (event["car"], event["kind"])
            if event["kind"] in ERRORS and event["ms"] - self._reported_ms.get(key, -1e9) >= 1000:
                self._reported_ms[key] = event["ms"]
                yield f"elevator {event['car']}: {ERRORS[event['kind']]}{event['value']}"
