"""The command line as a whole: what all commands have in common."""

import os
import socket
import subprocess

import pytest
from lab import PATIENCE_S, PROGRAM, free_port

PRINTING = {
    "assign": ["assign", "--help"],
    "bench": ["bench", "dispatch", "--seeds", "1"],
    "demo": ["demo", "--cars", "1", "--no-web"],
    "doctor": ["doctor", "--no-record"],
    "sim": ["sim", "--headless", "--port", "0"],
    "soak": ["soak", "--seeds", "1..2"],
    "watch": ["watch", "--json"],
}


@pytest.mark.parametrize("name", PRINTING)
def test_a_command_whose_reader_has_gone_ends_without_a_word(name: str) -> None:
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
