"""The command line. Each command imports only the modules that it needs, so it starts fast."""

import os
import sys
from collections.abc import Sequence

BROKEN_PIPE_STATUS, INTERRUPTED_STATUS = 141, 130
"""The exit statuses that a shell reports for a process killed by SIGPIPE or SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*; return the exit status."""
    open_standard_streams()
    try:
        try:
            return run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes the buffer again at exit, which must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE_STATUS
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS


def run(arguments: list[str]) -> int:
    match arguments[:1]:
        case ["assign"]:
            from elevator.cli import assign

            return assign.main(arguments[1:])
        case ["bench"]:
            from elevator.cli import dispatch_benchmark

            return dispatch_benchmark.main(arguments[1:])
        case ["demo"]:
            from elevator.cli import demo

            return demo.main(arguments[1:])
        case ["sim"]:
            from elevator.cli import simulator

            return simulator.main(arguments[1:])
        case ["soak"]:
            from elevator.cli import soak

            return soak.main(arguments[1:])
        case ["watch"]:
            from elevator.cli import watch

            return watch.main(arguments[1:])
        case ["keygen"]:
            from elevator.cli import keygen

            return keygen.main(arguments[1:])
        case ["serve-card"]:
            from elevator.cli import serve_card

            return serve_card.main(arguments[1:])
        case ["doctor"]:
            from elevator.cli import run_node

            return run_node.doctor(arguments[1:])
        case _:
            from elevator.cli import run_node

            return run_node.node(arguments)


def open_standard_streams() -> None:
    """Open /dev/null in place of closed standard streams, so that no other file gets the descriptors 0 to 2."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


if __name__ == "__main__":
    sys.exit(main())
