"""`elevator keygen`: creates a group's key, in a file that only its owner can read."""

import os
import sys
from pathlib import Path

from elevator.cli.arguments import Arguments
from elevator.net.seal import KEY_BYTES

FILE_MODE = 0o600


def main(argv: list[str]) -> int:
    """Run `elevator keygen`; return the exit status. The command never overwrites a file."""
    parser = Arguments(
        prog="elevator keygen",
        description="Create a key for a group. Copy the file to every machine; pass it to each node with --key-file.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="file to create; it must not exist yet")
    file: str = parser.parse_args(argv).file
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with open(descriptor, "w", encoding="ascii") as opened:  # noqa: PTH123  a descriptor
            try:
                opened.write(os.urandom(KEY_BYTES).hex() + "\n")
                opened.flush()
                os.fsync(descriptor)
            except OSError:
                Path(file).unlink(missing_ok=True)  # Otherwise a second try would find that the file exists.
                raise
    except FileExistsError:
        parser.error(f"{file} already exists and will not be overwritten: choose another name")
    except (OSError, ValueError) as error:
        parser.error(f"cannot write {file!r}: {getattr(error, 'strerror', None) or error}")
    print(f"created key file {file}, mode {FILE_MODE:04o}", file=sys.stderr)
    return 0
