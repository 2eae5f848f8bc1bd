"""`elevator sim`: simulated elevators, shown in a terminal, on a page, or not at all."""

import random
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from elevator.building import shaft as physics
from elevator.building import view
from elevator.building.building import Building, listen, open_building, random_starts
from elevator.building.control import Refused
from elevator.building.control_socket import open_control
from elevator.building.elevator import EventKind
from elevator.building.occupied_building import OccupiedBuilding
from elevator.building.passengers import PassengerFlow
from elevator.building.shaft import Shaft
from elevator.cli.simulator_options import keys_of, options

if TYPE_CHECKING:
    from elevator.building.card_line import CardLine
    from elevator.building.terminal import Terminal
    from elevator.ui.web import Web

SHOW_MS = 40
"""Between two pictures, in the terminal or on the page."""
NOTES = 6
"""Lines kept below the picture."""


def main(argv: list[str]) -> int:
    """Run `elevator sim` until it is told to end."""
    arguments, ignored = options(argv)
    for each in ignored:
        print(f"elevator sim: {each}", file=sys.stderr)
    ended = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    shaft = Shaft(arguments.numfloors, arguments.travel_ms, arguments.passing_ms)
    if arguments.at is None:
        shafts = random_starts(shaft, arguments.cars, random.Random(arguments.seed))
    else:
        shafts = [physics.put(shaft, arguments.at, 0)] * arguments.cars
    with ExitStack() as stack:
        try:
            building = open_building(
                shafts,
                arguments.host,
                arguments.port,
                arguments.press_ms,
                arguments.stop_on_disconnect,
            )
            stack.callback(building.close)
            control = open_control(building, arguments.control)
            stack.callback(control.close)
            lines = [] if arguments.card is None else attach_cards(building, arguments.card)
            for line in lines:
                stack.callback(line.unplug)
            seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
            now_ms = building.clock_us() // 1000
            occupied = OccupiedBuilding(
                building, PassengerFlow(seed, arguments.cars, arguments.numfloors, arguments.rate, now_ms)
            )
            web = open_page(building, occupied, *arguments.web) if arguments.web else None
        except Refused as refusal:
            print(f"elevator sim: {refusal}", file=sys.stderr)
            return 2
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants it ignored
                signal.signal(number, end)
        said = [
            ready(building.ports, control.port),
            *(f"card of elevator {car}: {line.path}" for car, line in enumerate(lines)),
        ]
        if web is not None:
            stack.callback(web.close)
            said.append(f"page: {web.address}")
        terminal = None
        if not arguments.headless and sys.stdin.isatty() and sys.stdout.isatty():
            from elevator.building.terminal import Terminal
            from elevator.building.terminal_picture import Appearance

            terminal = Terminal(building, Appearance(arguments.light_on, arguments.light_off, keys_of(arguments)))
            terminal.enter()
            stack.callback(terminal.leave)
        else:
            print("\n".join(said), flush=True)
        _run(occupied, web, terminal, [*ignored, *said], lambda: ended)
    return 0


def attach_cards(building: Building, prefix: str) -> "list[CardLine]":
    """Give each elevator an I/O card, linked at *prefix* and its number unless that is empty; raise Refused."""
    from elevator.building.card_line import CardLine

    cars = range(len(building.elevators))
    try:
        return [CardLine(building, car, Path(f"{prefix}{car}") if prefix else None) for car in cars]
    except OSError as error:
        raise Refused(f"cannot make a card: {error.strerror}") from None


def open_page(building: Building, occupied: OccupiedBuilding, host: str, port: int) -> "Web":
    """Return a page that shows *occupied* on *host* and *port*; raise Refused if the port is in use."""
    from elevator.ui.web import Web

    return Web(listen(host, port), building.watch, occupied.handle, host)


def _run(
    occupied: OccupiedBuilding,
    web: "Web | None",
    terminal: "Terminal | None",
    said: list[str],
    is_ended: Callable[[], bool],
) -> None:
    building = occupied.building
    complaints = Notices()
    notes: deque[str] = deque(maxlen=NOTES)
    shown_ms = 0
    fixed = {"building": view.building(occupied.crowd.traffic.floors, occupied.crowd.traffic.cars, nodes=False)}
    while not is_ended() and not (terminal is not None and terminal.is_over):
        # A signal does not end a wait, so no wait is long.
        building.turn(0.1 if web is None and terminal is None and occupied.is_empty else 0.01)
        now_ms = occupied.step_passengers()
        for line in complaints.new(building):
            notes.append(line)
            if terminal is None:
                print(line, flush=True)
        if now_ms >= shown_ms + SHOW_MS:
            shown_ms = now_ms
            if web is not None:
                web.show({**fixed, **occupied.scene(), "said": list(notes)} if web.is_watched else {})
            if terminal is not None:
                terminal.paint([*said, *notes])


def ready(ports: list[int], control_port: int) -> str:
    if len(ports) == 1:
        where = f"1 elevator on port {ports[0]}"
    elif ports == list(range(ports[0], ports[0] + len(ports))):
        where = f"{len(ports)} elevators on ports {ports[0]}..{ports[-1]}"
    else:
        where = f"{len(ports)} elevators on ports {' '.join(map(str, ports))}"
    return f"simulating {where}, control on {control_port}"


class Notices:
    """Says what a client did wrong, one line a second at the most for each car and kind."""

    def __init__(self) -> None:
        self._next = 0
        self._said_ms: dict[tuple[object, object], float] = {}

    def new(self, building: Building) -> Iterable[str]:
        """Yield the lines due since the last call."""
        if self._next == building.history.next_event:
            return
        told = building.history.since(self._next)
        self._next = told["next"]
        for event in told["events"]:
            if event["kind"] not in (EventKind.BAD.value, EventKind.MISBEHAVIOUR.value, EventKind.RELOAD.value):
                continue
            key = (event["car"], event["kind"])
            if event["ms"] - self._said_ms.get(key, -1e9) >= 1000:
                self._said_ms[key] = event["ms"]
                yield f"elevator {event['car']}: {event['kind']}: {event['value']}"
