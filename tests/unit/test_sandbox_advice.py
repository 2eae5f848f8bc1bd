"""The parts of the sandbox that need no namespace.

They advise users whose systems forbid namespaces, read and write the attributes of netlink messages, and report errors
of system calls.
"""

import errno
import os
from pathlib import Path

import pytest

from elevator import _namespace
from elevator.exam import netlink
from elevator.exam.sandbox import FORBIDDING, explain

ALLOWED = {name: allowing for name, (_, allowing) in FORBIDDING.items()}


@pytest.mark.parametrize("name", FORBIDDING)
def test_setting_that_forbids_namespaces_is_named(name: str) -> None:
    forbidding, allowing = FORBIDDING[name]
    advice = explain(errno.EPERM, {**ALLOWED, name: forbidding}, is_root=False, is_contained=False)
    assert advice == (
        f"cannot create network namespaces (Operation not permitted). Allow it: sudo sysctl {name}={allowing}; "
        "or run as root"
    )


def test_root_is_told_every_setting_that_forbids_namespaces_but_not_to_run_as_root() -> None:
    settings = {name: forbidding for name, (forbidding, _) in FORBIDDING.items()}
    advice = explain(errno.ENOSPC, settings, is_root=True, is_contained=True)
    assert all(f"{name}={allowing}" in advice for name, (_, allowing) in FORBIDDING.items())
    assert "run as root" not in advice


def test_missing_privileges_or_kernel_modules_are_explained() -> None:
    assert "--privileged" in explain(errno.EPERM, ALLOWED, is_root=True, is_contained=True)
    assert "CAP_SYS_ADMIN" in explain(errno.EPERM, {}, is_root=True, is_contained=False)
    assert "modprobe" in explain(errno.EOPNOTSUPP, {}, is_root=False, is_contained=False)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, 255])
@pytest.mark.parametrize("is_root", [True, False])
def test_advice_is_one_line(code: int, is_root: bool) -> None:
    for is_contained in (True, False):
        assert "\n" not in explain(code, ALLOWED, is_root, is_contained)


def test_attributes_are_padded_and_read_back() -> None:
    data = netlink.attribute(3, b"eth0\0") + netlink.attribute(16, b"\x06") + netlink.attribute(1)
    assert len(data) == 12 + 8 + 4
    assert netlink.attributes(data) == {3: b"eth0\0", 16: b"\x06", 1: b""}


def test_waiting_for_an_interface_that_does_not_exist_raises_the_error_of_the_kernel() -> None:
    with pytest.raises(OSError, match="No such device") as refused:
        netlink.wait_until_up(2**31 - 1)
    assert refused.value.errno == errno.ENODEV


def test_system_calls_raise_the_error_of_the_kernel_and_refuse_wrong_arguments() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as refused:
        _namespace.setns(-1, 0)
    assert refused.value.errno == errno.EBADF
    fd = os.open(Path(__file__), os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            _namespace.setns(fd, 0)
    finally:
        os.close(fd)
    with pytest.raises(OSError, match="Invalid argument"):
        _namespace.unshare(1)
    for arguments in ((), ("0",), (1 << 40,)):
        with pytest.raises((TypeError, OverflowError)):
            _namespace.unshare(*arguments)
