"""The command line of a node, and of `elevator doctor`, which takes a node's settings."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from elevator import __version__
from elevator.cli.arguments import Arguments

if TYPE_CHECKING:
    from elevator.runtime import config

NODE = """\
Run one node: the controller of one elevator, and with its likes on other machines of a group.

  elevator --id 2 --port 15659

Every node needs an --id of its own. Nodes find each other by UDP broadcast; nothing else is to be set up. The elevator
itself is an elevator server (the lab's, or a simulator) on --host and --port, or with --serial the lab's I/O card
itself. It is waited for if it is not there.
"""
COMMANDS = """\
other commands (each has its own --help):
  elevator demo      a simulated building with real nodes and passengers, on a page and in this terminal
  elevator sim       simulated elevators for controllers to connect to, in this terminal and on a page
  elevator watch     the nodes of a group as they are heard, in this terminal, as JSON or on a page; sends nothing
  elevator doctor    is all there that a node needs? It takes a node's settings
  elevator serve-card
                     the elevator server of the lab's I/O card, for other controllers
  elevator keygen    a key for a group, so that nobody else can speak in it
  elevator assign    share out hall calls as the course's hall_request_assigner does, one answer or many
  elevator bench     how long passengers wait, against the reference algorithm
  elevator soak      whole groups in virtual time with every fault, seed by seed: can a call be lost?
"""


def node(arguments: list[str]) -> int:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Until the pair takes it, Ctrl-C just ends.
    flags = vars(node_parser().parse_args(arguments))
    file: Path | None = flags.pop("config", None)
    adopt: str | None = flags.pop("adopt", None)

    from attrs import evolve

    from elevator.hardware.io_card import HALT
    from elevator.processes import pair
    from elevator.processes.worker_link import Link
    from elevator.runtime import config, log_handler, loop
    from elevator.storage import store

    def work(link: Link) -> int:
        try:
            loop.run(settings, keys, directory, link)
        except (config.ConfigError, store.StoreError) as error:
            return complain(str(error))
        return 0

    try:
        settings = config.load(flags, file)
        settings = evolve(settings, host=loop.resolve(settings.host))
        settled = ["--host", settings.host]  # A name may have no address when a new supervisor asks for it.
        keys = config.read_keys(config.key_file(settings))
        line = f"%(asctime)s.%(msecs)03d node {settings.id}: %(message)s"
        logging.basicConfig(
            level=settings.log_level.upper(), handlers=[log_handler.LogHandler()], format=line, datefmt="%H:%M:%S"
        )
        directory = None if settings.no_record else settings.state_dir or state_directory(settings)
        if adopt is not None:
            return pair.supervise(work, *pair.adopt(adopt), last_words=HALT, settled=settled)
        lock = None if directory is None else store.lock(directory)
        if settings.no_pair:
            return work(Link())
        return pair.supervise(work, inherited=[] if lock is None else [lock], last_words=HALT, settled=settled)
    except (config.ConfigError, store.StoreError) as error:
        return complain(str(error))
    except ValueError as error:
        return complain(f"argument --adopt: {error}")


def doctor(arguments: list[str]) -> int:
    parser = node_parser()
    parser.prog = "elevator doctor"
    parser.description = "Tell whether all is there that a node with these settings needs: a line each, and what to do."
    parser.epilog = None
    flags = vars(parser.parse_args(arguments))
    file: Path | None = flags.pop("config", None)
    flags.pop("adopt", None)

    from elevator.cli import doctor
    from elevator.runtime import config

    try:
        id_given = "id" in flags or (file is not None and "id" in config.read(file))
        settings = config.load(flags if id_given else {"id": 0, **flags}, file)
        directory = None if settings.no_record else settings.state_dir or state_directory(settings)
        keys = config.read_keys(config.key_file(settings))
    except config.ConfigError as error:
        parser.error(str(error))
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # it is a TextIOWrapper
    return doctor.main(settings, keys, directory, id_given)


def node_parser() -> Arguments:
    parser = Arguments(
        prog="elevator",
        description=NODE,
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--id", type=int, metavar="N", help="this node's number in the group, 0..63")
    parser.add_argument("--port", type=int, metavar="PORT", help="the elevator server's TCP port (15657)")
    parser.add_argument("--host", metavar="HOST", help="the elevator server's host (127.0.0.1)")
    parser.add_argument("--serial", metavar="PATH", help="the port of an I/O card instead of a server, or auto")
    parser.add_argument("--speed", type=int, metavar="S", help="of an I/O card's motor, 1..255 (255)")
    parser.add_argument("--floors", type=int, metavar="M", help="number of floors, 2..64 (4); the same on every node")
    parser.add_argument("--group", metavar="NAME", help="name of the group; others on the port are ignored (lab)")
    parser.add_argument("--net-port", type=int, metavar="PORT", help="UDP port of the group (20145)")
    parser.add_argument("--broadcast", metavar="ADDRESS", help="where to broadcast (by every network interface)")
    parser.add_argument("--key-file", metavar="FILE", help="the group's key, made by elevator keygen (none)")
    parser.add_argument("--state-dir", metavar="DIR", help="where the record of calls is kept")
    parser.add_argument("--no-record", action="store_true", help="keep no record: promises end with this process")
    parser.add_argument("--no-pair", action="store_true", help="run without a supervisor, for debuggers")
    parser.add_argument("--adopt", help=argparse.SUPPRESS)
    parser.add_argument("--assigner", metavar="NAME", help="plan, or reference: how hall calls are shared out (plan)")
    parser.add_argument("--park", metavar="HOW", help="where idle cars wait: spread, lobby or none (spread)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with any of these settings")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (info)")
    parser.add_argument("--version", action="version", version=f"elevator {__version__}")
    return parser


def state_directory(settings: "config.Config") -> Path:
    """Return where the record belongs by the XDG base directory specification."""
    from elevator.runtime.config import ConfigError

    home = os.environ.get("XDG_STATE_HOME", "")
    try:
        base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ConfigError("you have no home directory: say with --state-dir where the record belongs") from None
    return base / "elevator" / f"{settings.group}-{settings.id}"


def complain(message: str) -> int:
    """Say what is wrong in one line, whatever was given."""
    print("elevator:", *message.split(), file=sys.stderr)
    return 2
