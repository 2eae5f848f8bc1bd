"""Hosts on an Ethernet network. Each host is a network namespace. The switch is a bridge in a namespace of its own.

A failed test leaves no interface behind, because the kernel destroys a namespace without a name when its file
descriptors are closed and its processes have ended.
"""

import os
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from typing import Self

from elevator.exam.sandbox import Namespace


class Host(Namespace):
    """A host: a network namespace that has only the loopback interface at first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> str:
        """A path at which other processes can open the namespace, until this host is closed."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def run(self, *command: str) -> str:
        """Run *command* in the namespace and return its output.

        Raise AssertionError if an `ip` command fails. Other commands may fail.
        """
        with self.entered():
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, encoding="utf-8", timeout=60)
        assert done.returncode == 0 or command[0] != "ip", command
        return done.stdout


class Network:
    """A switch and the hosts that can be connected to it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._cables = 0
        self._switch = self.host()
        self._switch.run("ip", "link", "add", "switch", "type", "bridge")
        self._switch.run("ip", "link", "set", "switch", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def host(self, address: str | None = None) -> Host:
        """Return a new host. If *address* is given, such as 10.0.0.1/24, connect the host's eth0 to the switch."""
        host = self._stack.enter_context(Host())
        if address is not None:
            self.connect(host, address)
        return host

    def connect(self, host: Host, address: str, interface: str = "eth0", index: int | None = None) -> None:
        """Connect a new *interface* of *host* to the switch, and give it *address*.

        Without an *index* for the interface, the kernel chooses one.
        """
        port = f"port{self._cables}"
        self._cables += 1
        numbered = () if index is None else ("index", str(index))
        peer = ("peer", "name", port, "netns", self._switch.path)
        host.run("ip", "link", "add", interface, *numbered, "type", "veth", *peer)
        self._switch.run("ip", "link", "set", port, "master", "switch", "up")
        host.run("ip", "address", "add", address, "brd", "+", "dev", interface)
        host.run("ip", "link", "set", interface, "up")

    @staticmethod
    def remove(host: Host, interface: str = "eth0") -> None:
        """Remove an interface of *host*, as unplugging a USB adapter does."""
        host.run("ip", "link", "delete", interface)


@cache
def obstacle() -> str:
    """Return why this process cannot create and connect namespaces; empty if it can."""
    if shutil.which("ip") is None:
        return "the program ip (package iproute2) is missing"
    try:
        with Network() as network:
            network.host("10.0.0.1/24")
    except (OSError, AssertionError) as error:
        return f"cannot create network namespaces ({error}): run the tests as root, or with unshare -rn"
    return ""
