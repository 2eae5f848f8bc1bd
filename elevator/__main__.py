"""The entry point: runs the command that the arguments name, or a node if they name none.

A command's modules are imported only when that command runs, so every command starts fast.
"""

import os
import sys
from collections.abc import Sequence

BROKEN_PIPE_STATUS, INTERRUPTED_STATUS = 141, 130
"""The exit statuses that a shell reports for processes killed by SIGPIPE and SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*; return the exit status."""
    open_standard_streams()
    try:
        try:
            return run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output again at exit. With /dev/null in its place, that flush cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE_STATUS
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS


def run(arguments: list[str]) -> int:
    match arguments:
        case ["assign", *argv]:
            from elevator.cli.assign import main as command
        case ["bench", "crites-barto", *argv]:
            from elevator.cli.crites_barto import main as command
        case ["bench", *argv]:
            from elevator.cli.dispatch_benchmark import main as command
        case ["exam", *argv]:
            from elevator.cli.exam import main as command
        case ["demo", *argv]:
            from elevator.cli.demo import main as command
        case ["sim", *argv]:
            from elevator.cli.simulator import main as command
        case ["soak", *argv]:
            from elevator.cli.soak import main as command
        case ["watch", *argv]:
            from elevator.cli.watch import main as command
        case ["keygen", *argv]:
            from elevator.cli.keygen import main as command
        case ["serve-card", *argv]:
            from elevator.cli.serve_card import main as command
        case ["doctor", *argv]:
            from elevator.cli.run_node import doctor as command
        case argv:
            from elevator.cli.run_node import node as command
    return command(argv)


def open_standard_streams() -> None:
    """Open /dev/null for each closed standard stream, so that no file opened later gets its descriptor."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


if __name__ == "__main__":
    sys.exit(main())
