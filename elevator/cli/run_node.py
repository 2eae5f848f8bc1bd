"""Runs a node or `elevator doctor`. Both have the same options."""

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
Run one node. It controls one elevator car and shares the hall calls with the other nodes of its group.

  elevator --id 2 --port 15659

Give all nodes of a group the same --floors, and each a different --id. They find each other by UDP broadcast. The node
drives its car through an elevator server (the lab's or a simulator) at --host and --port, or through the lab's I/O card
at --serial. If the server or the card is not available, the node waits for it.
"""
COMMANDS = """\
other commands (each has its own --help):
  elevator demo      simulate elevators with passengers and real nodes, or other controllers; show them on a web page
  elevator exam      examine any controller that speaks the elevator server's protocol
  elevator sim       simulate elevators that controllers can connect to
  elevator watch     show the nodes of a group in the terminal, as JSON or on a web page; send nothing
  elevator doctor    check whether a node can run with the given settings
  elevator serve-card
                     connect the lab's I/O card to other controllers, as an elevator server
  elevator keygen    create a key that authenticates the nodes of a group
  elevator assign    assign hall calls like TTK4145's hall_request_assigner
  elevator bench     compare passengers' waiting times under different algorithms
  elevator soak      test simulated groups with fault injection
"""


def node(argv: list[str]) -> int:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Exit without a traceback until `pair` handles SIGINT.
    flags = vars(node_parser().parse_args(argv))
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
            return fail(str(error))
        return 0

    try:
        settings = config.load(flags, file)
        settings = evolve(settings, host=loop.resolve(settings.host))
        extra = ["--host", settings.host]  # A later supervisor must not depend on the name server.
        keys = config.read_keys(config.key_file(settings))
        line = f"%(asctime)s.%(msecs)03d node {settings.id}: %(message)s"
        logging.basicConfig(
            level=settings.log_level.upper(), handlers=[log_handler.LogHandler()], format=line, datefmt="%H:%M:%S"
        )
        directory = None if settings.no_record else settings.state_dir or state_directory(settings)
        if adopt is not None:
            return pair.supervise(work, *pair.adopt(adopt), final_message=HALT, extra_arguments=extra)
        lock = None if directory is None else store.lock(directory)
        if settings.no_pair:
            return work(Link())
        return pair.supervise(work, inherited=[] if lock is None else [lock], final_message=HALT, extra_arguments=extra)
    except (config.ConfigError, store.StoreError) as error:
        return fail(str(error))
    except ValueError as error:
        return fail(f"argument --adopt: {error}")


def doctor(argv: list[str]) -> int:
    parser = node_parser()
    parser.prog = "elevator doctor"
    parser.description = (
        "Check whether a node can run with these settings. Print one line for each check, with advice if it fails."
    )
    parser.epilog = None
    flags = vars(parser.parse_args(argv))
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
    parser.add_argument("--id", type=int, metavar="N", help="number of this node, 0..63; unique in its group")
    parser.add_argument("--port", type=int, metavar="PORT", help="TCP port of the elevator server; default: 15657")
    parser.add_argument("--host", metavar="HOST", help="host of the elevator server; default: 127.0.0.1")
    parser.add_argument(
        "--serial", metavar="PATH", help="use the I/O card at this serial port instead of a server; auto finds the port"
    )
    parser.add_argument("--speed", type=int, metavar="S", help="motor speed with an I/O card, 1..255; default: 255")
    parser.add_argument(
        "--floors", type=int, metavar="M", help="number of floors, 2..64, the same on every node; default: 4"
    )
    parser.add_argument("--group", metavar="NAME", help="name of the group; a node ignores other groups; default: lab")
    parser.add_argument("--net-port", type=int, metavar="PORT", help="UDP port of the group; default: 20145")
    parser.add_argument(
        "--broadcast",
        metavar="ADDRESS",
        help="IPv4 broadcast address, or multicast group such as 239.1.2.3, to send heartbeats to; "
        "default: broadcast on all interfaces",
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="file with the group's key, if the group has one; elevator keygen creates it"
    )
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        help="directory for the record, which keeps the calls across restarts; "
        "default: elevator/GROUP-ID in $XDG_STATE_HOME or ~/.local/state",
    )
    parser.add_argument(
        "--no-record", action="store_true", help="keep no record: a restart loses calls that only this node knows"
    )
    parser.add_argument("--no-pair", action="store_true", help="run without a supervisor, for debugging")
    parser.add_argument("--adopt", help=argparse.SUPPRESS)
    parser.add_argument(
        "--assigner", metavar="NAME", help="algorithm that assigns hall calls: plan or reference; default: plan"
    )
    parser.add_argument(
        "--park",
        metavar="HOW",
        help="where idle cars wait: spread (where the next passengers are likely), sparing (like spread, but a car "
        "moves only if the next passenger then waits a second less on average), lobby (floor 0) or none (where they "
        "stop); default: spread",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file with these settings; options on the command line override it",
    )
    parser.add_argument(
        "--log-level",
        metavar="LEVEL",
        help="minimum severity of messages to log: debug, info, warning or error; default: info",
    )
    parser.add_argument("--version", action="version", version=f"elevator {__version__}")
    return parser


def state_directory(settings: "config.Config") -> Path:
    """Return the default directory of the record: elevator/GROUP-ID in $XDG_STATE_HOME, or else in ~/.local/state.

    A relative $XDG_STATE_HOME does not count. Raise ConfigError if the home directory is needed but unknown.
    """
    from elevator.runtime.config import ConfigError

    home = os.environ.get("XDG_STATE_HOME", "")
    try:
        base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ConfigError("no home directory for the record: choose a directory with --state-dir") from None
    return base / "elevator" / f"{settings.group}-{settings.id}"


def fail(message: str) -> int:
    """Print *message* on one line of standard error; return exit status 2."""
    print("elevator:", *message.split(), file=sys.stderr)
    return 2
