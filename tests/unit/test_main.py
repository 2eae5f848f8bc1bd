"""The entry point: closed output pipes, interrupts, the list of commands, and what `elevator assign` imports."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, free_port

PRINTING = {
    "assign": ["assign", "--help"],
    "bench": ["bench", "dispatch", "--seeds", "1"],
    "demo": ["demo", "--cars", "1", "--no-web"],
    "doctor": ["doctor", "--no-record"],
    "exam": ["exam", "--list"],
    "sim": ["sim", "--headless", "--port", "0"],
    "soak": ["soak", "--seeds", "1..2"],
    "watch": ["watch", "--json"],
}
QUIET = {"keygen", "serve-card"}
"""Commands that write nothing to standard output except their help."""


@pytest.mark.parametrize("name", PRINTING)
def test_command_ends_silently_when_its_output_pipe_is_closed(name: str) -> None:
    arguments = PRINTING[name]
    if name in ("doctor", "watch"):
        arguments = [*arguments, "--net-port", str(free_port(socket.SOCK_DGRAM))]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, *arguments], check=False, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.parametrize("arguments", [["soak", "--seeds", "1..1000000"], ["bench", "dispatch"]])
def test_interrupted_command_ends_silently(arguments: list[str]) -> None:
    command = [*PROGRAM, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as program:  # type: ignore[call-overload]
        assert program.stdout is not None
        program.stdout.readline()
        os.killpg(program.pid, signal.SIGINT)  # Like Ctrl-C in a terminal.
        assert program.communicate(timeout=PATIENCE_S)[1] == ""
        assert program.returncode == 130


def test_help_lists_every_command() -> None:
    # build/smoke.py reads the commands to try from the help.
    source = (Path(__file__).parents[2] / "elevator" / "__main__.py").read_text()
    commands = re.findall(r'case \["([a-z-]+)", \*argv\]', source)
    text = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    assert set(commands) == set(re.findall(r"^  elevator ([a-z][a-z-]*)", text, re.MULTILINE))
    assert set(commands) == PRINTING.keys() | QUIET


ASSIGN = """
import sys
sys.path.insert(0, sys.argv[1])
from elevator.__main__ import run
run(["assign", "--input", '{"hallRequests": [[true,false]], "states": {"a": {"cabRequests": [false]}}}'])
print(*sorted(sys.modules))
"""


def test_assign_imports_only_what_it_needs() -> None:
    """Many controllers start `elevator assign` again for each answer. Imports take most of the command's run time.

    Python's option -S leaves out the module site and what it imports.
    """
    root = Path(__file__).parents[2]
    command = [sys.executable, "-S", "-c", ASSIGN, str(root)]
    answer, loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert answer == '{"a":[[true,false]]}'
    ours = {name for name in loaded.split() if name.startswith("elevator")}
    assert ours == {"elevator", "elevator.__main__", "elevator._assign", "elevator.cli", "elevator.cli.assign"}
    assert not {"argparse", "attr", "logging", "pathlib", "socket", "subprocess"} & {*loaded.split()}
