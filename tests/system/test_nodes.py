"""Complete nodes, started as a user starts them: their records, logs and exit statuses.

`just exam` tests how a group of nodes serves calls.
"""

import os
import resource
import shutil
import signal
import socket
from pathlib import Path

import pytest
from lab import PROGRAM, lab

from elevator.core.model import Button, Motor


def test_node_with_a_wiped_disk_restores_its_calls_from_a_peer_after_a_blackout(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, Button.CAB, 2)
        group.press(1, Button.DOWN, 3)
        group.wait(lambda: (Button.CAB, 2) in group.lamps(0) and (Button.DOWN, 3) in group.lamps(1), "lamps lit")
        for id in range(2):
            group.kill(id)
        shutil.rmtree(tmp_path / "state-0")
        group.start(0)
        group.wait_for(0, "in service", times=2)
        assert not group.was_open(0, 2), "the node cannot know the call yet"
        group.start(1)
        group.wait(lambda: group.was_open(0, 2), "the peer's copy of the cab call was served")
        group.wait_until_dark()


def test_node_with_a_full_disk_keeps_serving(tmp_path: Path) -> None:
    """A file size limit simulates a full disk. Unlike permissions, it also applies to root."""
    with lab(tmp_path, cars=1, start=False) as group:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        try:
            group.start(0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        group.wait_for(0, "in service")
        group.wait_for(0, "cannot")
        group.press(0, Button.CAB, 2)
        group.wait(lambda: group.was_open(0, 2), "the call was served")


def test_node_connects_to_a_server_that_starts_late_and_logs_its_absence_once(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, start=False) as group:
        group.switch_server(0, False)
        group.start(0)
        group.wait_for(0, "is unavailable")
        group.switch_server(0, True)
        group.wait_for(0, "in service")
        assert group.log(0).count("is unavailable") == 1


def test_second_node_with_the_same_record_directory_prints_one_line_and_exits_with_2(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        state = ("--state-dir", str(tmp_path / "state-0"))
        second = group.complete(*PROGRAM, "--id", "0", "--net-port", str(group.net_port), *state)
        assert second.returncode == 2
        assert "is in use by another node on this machine" in second.stderr
        assert second.stderr.count("\n") == 1


def test_two_nodes_with_the_same_id_log_the_conflict_and_keep_serving(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.start(0)
        group.start(1, "--id", "0")
        for id in (0, 1):
            group.wait_for(id, "another node has the same id")
        group.press(0, Button.CAB, 1)
        group.press(1, Button.CAB, 2)
        group.wait(lambda: group.was_open(0, 1) and group.was_open(1, 2), "both served their own cab calls")
        group.wait_until_dark()
        assert not group.was_open(0, 2)


def test_nodes_with_different_floor_counts_log_the_conflict_and_keep_serving(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.start(0)
        group.start(1, "--floors", "3")
        group.wait_for(0, "node 1: it has 3 floors")
        group.wait_for(1, "node 0: it has 4 floors")
        group.press(0, Button.CAB, 3)
        group.press(1, Button.CAB, 2)
        group.wait(lambda: group.was_open(0, 3) and group.was_open(1, 2), "both served their calls")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_termination_signal_stops_the_motor_and_ends_the_node(tmp_path: Path, number: signal.Signals) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, Button.CAB, 3)
        group.wait(lambda: group.motor(0) is Motor.UP, "the car moved")
        group.end(0, number)
        group.wait(lambda: group.motor(0) is Motor.STOP, "the motor stopped")
        group.wait_for(1, "node 0 is gone: its hall calls were already reassigned")
        assert "Traceback" not in group.log(0)


def test_garbage_on_the_network_port_is_dropped_and_logged_only_a_few_times(tmp_path: Path) -> None:
    lines_max = 10  # The node logs each of the two reasons at most five times in 30 s.
    with lab(tmp_path, cars=1) as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for _ in range(500):
            attacker.sendto(os.urandom(200), ("127.0.0.1", group.net_port))
        group.wait_for(0, "dropped a datagram")
        group.press(0, Button.CAB, 1)
        group.wait(lambda: group.was_open(0, 1), "the node kept serving")
        assert group.log(0).count("dropped a datagram") <= lines_max
