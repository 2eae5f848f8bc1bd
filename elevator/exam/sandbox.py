"""Hosts: network namespaces, each with a loopback interface, and an interface with a cable to the switch.

The namespaces have no names. The kernel destroys a namespace with its interfaces once no process and no file descriptor
uses it. So nothing remains once this process and those on the hosts have ended, for whatever reason.

Without the privileges in NEEDED, `enter_namespace` also creates a user namespace. There, this process keeps its user
and group, and may create and configure network namespaces. Programs that it starts do not get these privileges:
execve(2) removes them unless the user is root.
"""

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from elevator import _namespace
from elevator.exam import netlink

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
"""The flags of unshare(2) that create a user namespace and a network namespace."""
NEEDED = 1 << 21 | 1 << 13 | 1 << 12
"""The privileges needed to create hosts: CAP_SYS_ADMIN, CAP_NET_RAW and CAP_NET_ADMIN in capabilities(7)."""
SOL_PACKET, PACKET_STATISTICS, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 6, 15, 23
SO_RCVBUFFORCE, ETH_P_ALL = 33, 3
"""Linux constants that the socket module of Python 3.11 lacks; see packet(7) and socket(7)."""
RECEIVE_BYTES = 16 << 20
"""The size of the receive buffer of a switch port. Without root, the kernel limits it to net.core.rmem_max."""

HOSTS_MAX = 250
_GATEWAY = 254
"""The number of the gateway. A host's number, from 1, is the last byte of its addresses. switch.py counts hosts from 0
instead."""
INTERNET, INTERNET_PORT = "8.8.8.8", 53
"""Many controllers learn their own address from a TCP connection to this address."""

FORBIDDING = {
    "kernel.unprivileged_userns_clone": (0, 1),
    "kernel.apparmor_restrict_unprivileged_userns": (1, 0),
    "user.max_user_namespaces": (0, 10_000),
    "user.max_net_namespaces": (0, 10_000),
}
"""For each setting of sysctl(8), the value that forbids namespaces, and one that allows them."""


def obstacle() -> str:
    """Explain in one line why this process cannot create hosts, and how to allow it. Return "" if it can."""
    code = _try_in_child()
    if not code:
        return ""
    is_contained = any(Path(path).exists() for path in ("/.dockerenv", "/run/.containerenv"))
    return explain(code, _settings(), os.geteuid() == 0, is_contained)


def explain(code: int, settings: Mapping[str, int], is_root: bool, is_contained: bool) -> str:
    """Return one line that says why no host can be created, and how to allow it.

    *code* is the errno of the attempt. *settings* maps settings in FORBIDDING to their current values.
    """
    allowing = [f"{name}={FORBIDDING[name][1]}" for name, value in settings.items() if value == FORBIDDING[name][0]]
    if code in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
        advice = "load the missing kernel modules: sudo modprobe -a veth af_packet"
    elif allowing:
        advice = f"allow it: sudo sysctl {' '.join(allowing)}"
    elif is_contained:
        advice = "start this container with the option --privileged"
    else:
        advice = "give this process CAP_SYS_ADMIN, or allow it to create user namespaces"
    if not is_root and code not in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
        advice += "; or run as root"
    return f"cannot create network namespaces ({os.strerror(code)}). {advice[0].upper()}{advice[1:]}"


def _settings() -> dict[str, int]:
    found = {}
    for name in FORBIDDING:
        with suppress(OSError, ValueError):  # Not every kernel has every setting.
            found[name] = int(Path("/proc/sys", *name.split(".")).read_text())
    return found


def _try_in_child() -> int:
    """Try to create a host in a child process, so that this process stays in its namespaces.

    Return 0, the errno of the failure, or 255 if the failure has no errno.
    """
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            enter_namespace()
            open_gateway().close()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def enter_namespace() -> None:
    """Move this process to a new network namespace, where it may create hosts; raise OSError if that fails.

    The process must have a single thread. Sockets that are open already stay in their namespace and keep working.
    """
    if _has_privileges():
        _namespace.unshare(CLONE_NEWNET)
    else:
        user, group = os.geteuid(), os.getegid()
        _namespace.unshare(CLONE_NEWUSER | CLONE_NEWNET)
        # The kernel accepts a map of groups only from a process that cannot leave its groups: user_namespaces(7).
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", file).write_text(text)
    netlink.switch(socket.if_nametoindex("lo"), True)


def _has_privileges() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    (effective,) = (int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return effective & NEEDED == NEEDED


@contextmanager
def _current() -> Iterator[int]:
    """Yield a file descriptor of the network namespace of this thread."""
    fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


class Namespace:
    """A network namespace. It has only the loopback interface at first."""

    def __init__(self) -> None:
        """Create the namespace; raise OSError if that fails."""
        with _current() as outside:
            _namespace.unshare(CLONE_NEWNET)
            try:
                netlink.switch(socket.if_nametoindex("lo"), True)
                with _current() as inside:
                    self._fd = os.dup(inside)
            finally:
                _namespace.setns(outside, CLONE_NEWNET)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter the namespace during the block. Sockets and processes that this thread creates there belong to it."""
        with _current() as outside:
            _namespace.setns(self._fd, CLONE_NEWNET)
            try:
                yield
            finally:
                _namespace.setns(outside, CLONE_NEWNET)

    def close(self) -> None:
        os.close(self._fd)


class Host(Namespace):
    """A machine: a namespace with an interface eth0.

    A cable connects eth0 to an interface in the namespace of the process that creates the host. The switch uses that
    interface to receive the host's frames, and to send frames to the host.
    """

    def __init__(self, number: int) -> None:
        """Create host *number*: 1 to HOSTS_MAX, or _GATEWAY for the gateway. Raise OSError if that fails."""
        super().__init__()
        with ExitStack() as stack:
            stack.callback(super().close)
            self.address = f"10.20.0.{number}"
            self.mac = bytes([2, 0, 10, 20, 0, number])
            port = f"port{number}"
            self._port = netlink.create_cable(port, "eth0", self.mac, self._fd)
            stack.callback(netlink.delete, self._port)
            netlink.mute(self._port)
            netlink.switch(self._port, True)
            with self.entered():
                eth0 = socket.if_nametoindex("eth0")
                netlink.add_address(eth0, self.address, 24)
                netlink.switch(eth0, True)
                netlink.wait_until_up(eth0)
                if number != _GATEWAY:
                    netlink.add_default_route(f"10.20.0.{_GATEWAY}")
            netlink.wait_until_up(self._port)
            self.frames = _open_port(port)
            """The switch's end of the cable, as a packet socket. A virtio header precedes each frame: see frames.py."""
            stack.pop_all()

    def plug(self, on: bool) -> None:
        """Plug in the cable or unplug it; raise OSError if that fails.

        While unplugged, neither end has a carrier. The host keeps its address.
        """
        netlink.switch(self._port, on)

    def missed(self) -> int:
        """Return how many frames of this host did not fit in the receive buffer since the last call of this method."""
        statistics = self.frames.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        return int.from_bytes(statistics[4:8], "little")

    def close(self) -> None:
        """Delete the cable, and release the namespace. The namespace vanishes once its last process has ended."""
        self.frames.close()
        with suppress(OSError):  # The kernel has already deleted the interface.
            netlink.delete(self._port)
        super().close()


class Gateway(Host):
    """The hosts' default gateway. It stands in for the Internet: it has the address INTERNET, and forwards nothing."""

    def __init__(self) -> None:
        super().__init__(_GATEWAY)
        with ExitStack() as stack:
            stack.callback(super().close)
            with self.entered():
                netlink.add_address(socket.if_nametoindex("eth0"), INTERNET, 32)
                self.listener = stack.enter_context(socket.socket())
            self.listener.bind((INTERNET, INTERNET_PORT))
            self.listener.listen(1024)
            self.listener.setblocking(False)
            stack.pop_all()

    def close(self) -> None:
        self.listener.close()
        super().close()


def _open_port(interface: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    try:
        port.setblocking(False)
        # Hosts leave checksums and segmentation to the interface. The header tells the receiver what is left.
        port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        with suppress(PermissionError):  # Without root, the kernel limits the buffer to net.core.rmem_max.
            port.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        port.bind((interface, ETH_P_ALL))
    except OSError:
        port.close()
        raise
    return port


def open_hosts(count: int) -> list[Host]:
    """Create the hosts 1 to *count*, at most HOSTS_MAX; raise OSError if that fails. Call `enter_namespace` first."""
    with ExitStack() as stack:
        hosts = []
        for number in range(1, count + 1):
            hosts.append(Host(number))
            stack.callback(hosts[-1].close)
        stack.pop_all()
    return hosts


def open_gateway() -> Gateway:
    """Create the gateway of all hosts; raise OSError if that fails. Call `enter_namespace` first."""
    return Gateway()
