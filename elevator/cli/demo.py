"""`elevator demo`: shows simulated elevators with passengers and real nodes, on a page and in the terminal.

With a command, another program's controllers drive the elevators instead of nodes. demo_group.py sets up the elevators
and what drives them, and running_demo.py runs the demo.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from contextlib import ExitStack

from elevator.building.building import listen
from elevator.building.control import Refused
from elevator.cli.arguments import PAGE, Arguments, host_and_port, integer
from elevator.cli.demo_group import other_controllers, own_nodes
from elevator.cli.demo_verdict import Verdict, judge
from elevator.cli.running_demo import Demo
from elevator.cli.subject_options import PLACEHOLDERS, add_options, split, subject
from elevator.cli.wording import counted
from elevator.core.model import MAX_CARS, MAX_FLOORS
from elevator.exam.sandbox import obstacle
from elevator.exam.setup import BadCommand, Subject
from elevator.processes.child import Signals
from elevator.ui.web import address_of

EXAMPLES = """\
examples:
  elevator demo --cars 3 --floors 4
  elevator demo -- ./mycontroller --id {id} --port {port}

Without COMMAND, nodes of this program drive the elevators. With it, a copy of COMMAND drives each elevator, in a
network namespace of its own if the system allows that.

"""


def main(argv: list[str]) -> int:
    """Run `elevator demo`; return the exit status."""
    options, command = split(argv)
    parser = Arguments(
        prog="elevator demo",
        usage="elevator demo [OPTIONS] [-- COMMAND]",
        description="Simulate elevators with passengers and real nodes, or with the controllers of another program. "
        "Show them on a page and in this terminal.",
        epilog=EXAMPLES + PLACEHOLDERS,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--cars",
        type=integer(1, MAX_CARS),
        default=3,
        help="number of cars, each with a node or a controller; default: 3",
    )
    parser.add_argument("--floors", type=integer(2, MAX_FLOORS), default=4, help="number of floors; default: 4")
    parser.add_argument(
        "--seed", type=integer(0, 2**63), help="seed for start positions, passengers and lost packets; default: random"
    )
    parser.add_argument(
        "--for",
        type=integer(1, 1_000_000),
        dest="seconds",
        help="end after this many seconds; default: until Ctrl-C. In the last 30 seconds, or in the second half if "
        "SECONDS is less than 60, no new passengers come. If passengers are still under way at the end, the demo "
        "continues for up to a minute, or longer in tall buildings",
    )
    parser.add_argument("--rate", type=integer(0, 6000), help="passengers per minute; default: 4 per car")
    parser.add_argument(
        "--web",
        type=host_and_port,
        metavar="[HOST:]PORT",
        help=f"address of the page; default: {PAGE[0]}:{PAGE[1]}, or a free port if that is in use. "
        "Without --web, the page also opens in a browser if there is a graphical session",
    )
    parser.add_argument("--no-web", action="store_true", help="do not serve a page")
    of_command = add_options(parser)
    arguments = parser.parse_args(options)
    if not command:
        if "--" in argv:
            parser.error("the controllers' command is missing after --")
        for name in of_command:
            if getattr(arguments, name) != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')} needs a command: elevator demo [OPTIONS] -- COMMAND")
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    signals = Signals()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper, or pytest's subclass
    try:
        shown = subject(arguments, command) if command else None
        print(f"elevator demo: {counted(arguments.cars, 'car')}, {arguments.floors} floors, seed {seed}", flush=True)
        if shown is None and may_overload(arguments.cars, len(os.sched_getaffinity(0))):
            print(
                f"{arguments.cars} nodes may overload this machine; if they react late, use a smaller --cars",
                flush=True,
            )
        verdict = _run(arguments, shown, seed, lambda: signals.received is not None)
        print("\n".join(verdict.lines), flush=True)
    except (BadCommand, Refused) as refusal:
        print(f"elevator demo: {refusal}", file=sys.stderr)
        return 2
    return verdict.status


def may_overload(cars: int, cores: int) -> bool:
    """Return whether the nodes of *cars* cars may overload a machine with *cores* cores.

    The limit is 16 cars on one core, 32 on four and 64 on sixteen. It is a rough estimate: a node needs 4 to 24 % of a
    core (`just bench scale`). The demo's relay forwards each heartbeat to every other node, so its load grows with the
    square of the number of cars.
    """
    return cars * cars > 256 * cores


def _run(arguments: Namespace, shown: Subject | None, seed: int, is_interrupted: Callable[[], bool]) -> Verdict:
    """Run a demo until it is over or *is_interrupted* returns true; return the verdict on it.

    *shown* says how to start another program's controllers; None: run this program's nodes. Raise Refused if the demo
    or one of its nodes or controllers cannot start.
    """
    cars, floors = arguments.cars, arguments.floors
    with ExitStack() as stack:
        rng = random.Random(seed)
        page = None if arguments.no_web else _listen_for_page(arguments.web)
        if page is not None:
            stack.callback(page.close)
            # Listen first: with other controllers, this process moves to a network namespace that no browser reaches.
            print(f"page: {address_of(page)}", flush=True)
            if arguments.web is None and sys.stdout.isatty():
                _browse(address_of(page))
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="elevator-demo-", ignore_cleanup_errors=True)
        )
        if shown is None:
            group = stack.enter_context(own_nodes(cars, floors, directory, rng))
        else:
            why_not = obstacle()
            if why_not:
                print(f"{why_not}\nSo the page cannot drop packets or unplug controllers.", flush=True)
            group = stack.enter_context(other_controllers(shown, cars, floors, directory, rng, why_not))
        rate = 4 * cars if arguments.rate is None else arguments.rate
        run = Demo(group, seed, rate, arguments.seconds)
        if page is not None:
            web = run.open_page(page, (arguments.web or PAGE)[0])
            stack.callback(web.close)
        run.run_to_end(is_interrupted)
        return judge(run.scene(), group.controllers.ended, is_interrupted(), group.noun)


def _listen_for_page(wanted: tuple[str, int] | None) -> socket.socket:
    """Return a socket that listens at *wanted*; raise Refused if that fails.

    If *wanted* is None, the socket listens at PAGE, or at a free port if PAGE is in use.
    """
    if wanted is not None:
        return listen(*wanted)
    try:
        return listen(*PAGE)
    except Refused:
        return listen(PAGE[0], 0)


def _browse(address: str) -> None:
    """Open *address* in the user's browser if there is a graphical session."""
    opener = shutil.which("xdg-open")
    if opener and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        null = subprocess.DEVNULL
        subprocess.Popen([opener, address], stdin=null, stdout=null, stderr=null, start_new_session=True)
