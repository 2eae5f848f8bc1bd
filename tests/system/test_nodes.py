"""Complete nodes, started as a user starts them, with real sockets and injected faults."""

import os
import resource
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from lab import PROGRAM, Lab, lab


def door_opened(lab: Lab, car: int, floor: int) -> bool:
    """Report whether the door of *car* was ever open at *floor*."""
    at = None
    for event in lab.ask("events", since=0)["events"]:
        if event["car"] == car and event["kind"] == "sensor":
            at = event["value"]
        if event["car"] == car and event["kind"] == "door" and event["value"] and at == floor:
            return True
    return False


@pytest.mark.quick
def test_group_serves_its_calls(tmp_path: Path) -> None:
    with lab(tmp_path) as group:
        group.press(0, "up", 1)
        group.press(1, "down", 3)
        group.press(2, "cab", 2)
        group.wait(
            lambda: ("down", 3) in group.lamps(0) & group.lamps(1) & group.lamps(2), "the hall lamp lit on all panels"
        )
        group.wait(lambda: ("cab", 2) in group.lamps(2), "the cab lamp lit")
        assert ("cab", 2) not in group.lamps(0) | group.lamps(1)
        group.wait_until_dark()
        assert door_opened(group, 2, 2)
        assert group.misbehaviour() == 0


@pytest.mark.quick
def test_another_car_serves_a_killed_nodes_hall_call_and_the_node_serves_its_cab_call_after_a_restart(
    tmp_path: Path,
) -> None:
    with lab(tmp_path) as group:
        group.press(0, "cab", 3)
        group.press(0, "up", 1)
        group.wait(lambda: group.lamps(0) == {("cab", 3), ("up", 1)}, "both lamps lit")
        group.wait(lambda: group.lamps(1) == {("up", 1)}, "the other node knows the call")
        group.kill(0)
        group.wait_until_dark()
        assert group.lamps(0) >= {("cab", 3)}, "no node can switch off the lamps of car 0"
        group.start(0)
        group.wait_until_dark()
        assert door_opened(group, 0, 3)
        assert group.misbehaviour() == 0


def test_lit_calls_are_served_after_all_nodes_are_killed_and_restarted(tmp_path: Path) -> None:
    with lab(tmp_path) as group:
        group.press(1, "cab", 2)
        group.press(2, "down", 3)
        group.wait(lambda: ("cab", 2) in group.lamps(1) and ("down", 3) in group.lamps(0), "lamps lit")
        for id in range(3):
            group.kill(id)
        for id in range(3):
            group.start(id)
        group.wait_until_dark()
        assert door_opened(group, 1, 2)
        assert any(door_opened(group, car, 3) for car in range(3))


def test_calls_of_a_wiped_disk_are_restored_from_a_peer_after_a_blackout(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "cab", 2)
        group.press(1, "down", 3)
        group.wait(lambda: ("cab", 2) in group.lamps(0) and ("down", 3) in group.lamps(1), "lamps lit")
        for id in range(2):
            group.kill(id)
        shutil.rmtree(tmp_path / "state-0")
        group.start(0)
        group.wait_for(0, "in service", times=2)
        assert not door_opened(group, 0, 2), "the node cannot know the call yet"
        group.start(1)
        group.wait(lambda: door_opened(group, 0, 2), "the peer's copy of the cab call was served")
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
        group.press(0, "cab", 2)
        group.wait(lambda: door_opened(group, 0, 2), "the call was served")


def test_node_connects_to_an_elevator_server_that_starts_late_or_restarts(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.ask("server", car=0, on=False)
        group.start(0)
        group.start(1)
        group.wait_for(0, "is unavailable")
        group.ask("server", car=0, on=True)
        group.wait_for(0, "in service")
        group.press(0, "cab", 3)
        group.wait(lambda: group.lamps(0) == {("cab", 3)}, "the lamp lit")
        group.ask("server", car=0, on=False)
        group.wait_for(0, "lost")
        group.ask("server", car=0, on=True)
        group.wait_until_dark()
        assert door_opened(group, 0, 3)
        assert group.log(0).count("is unavailable") == 1


def test_another_car_serves_the_hall_call_of_a_car_without_motor_power(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "down", 3)
        group.wait(lambda: any(state["sensor"] is None for state in group.states()), "a car was moving")
        (car,) = (state["car"] for state in group.states() if state["sensor"] is None)
        group.ask("power", car=car, on=False)
        group.wait(lambda: door_opened(group, 1 - car, 3), "the other car served the call")
        assert "out of service: motor" in group.log(car)
        group.ask("power", car=car, on=True)
        group.wait_for(car, "in service", times=2)
        group.wait_until_dark()
        assert group.misbehaviour() == 0


def test_another_car_serves_a_hall_call_while_a_door_is_obstructed(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "cab", 0)
        group.wait(lambda: group.states()[0]["door"], "the door opened")
        group.ask("obstruct", car=0, on=True)
        group.wait_for(0, "out of service: door held open")
        group.press(0, "up", 1)
        group.wait(lambda: door_opened(group, 1, 1), "the other car served the call")
        assert group.states()[0]["door"], "an obstructed door stays open"
        group.ask("obstruct", car=0, on=False)
        group.wait(lambda: not group.states()[0]["door"], "the door closed")
        assert group.misbehaviour() == 0


def test_calls_are_served_while_a_node_is_frozen_and_after_it_resumes(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.signal(0, signal.SIGSTOP)
        group.wait_for(1, "node 0 timed out")
        group.press(1, "down", 3)
        group.wait(lambda: door_opened(group, 1, 3), "the other car served the call")
        group.signal(0, signal.SIGCONT)
        group.wait_for(1, "node 0 is alive", times=2)
        group.press(0, "cab", 1)
        group.wait(lambda: door_opened(group, 0, 1), "the resumed node served the call")
        group.wait_until_dark()


def test_second_node_with_the_same_record_directory_exits_with_2(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        second = subprocess.run(
            [*PROGRAM, "--id", "0", "--net-port", str(group.net_port), "--state-dir", str(tmp_path / "state-0")],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert second.returncode == 2
        assert "another node with this id" in second.stderr
        assert second.stderr.count("\n") == 1


def test_two_nodes_with_the_same_id_log_the_conflict_and_keep_serving(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.start(0, "--port", str(group.port))
        group.start(1, "--id", "0")
        for id in (0, 1):
            group.wait_for(id, "another node has the same id")
        group.press(0, "cab", 1)
        group.press(1, "cab", 2)
        group.wait(lambda: door_opened(group, 0, 1) and door_opened(group, 1, 2), "both served their own cab calls")
        group.wait_until_dark()
        assert not door_opened(group, 0, 2)


def test_nodes_with_different_floor_counts_log_the_conflict_and_keep_serving(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.start(0)
        group.start(1, "--floors", "3")
        group.wait_for(0, "node 1: it has 3 floors")
        group.wait_for(1, "node 0: it has 4 floors")
        group.press(0, "cab", 3)
        group.press(1, "cab", 2)
        group.wait(lambda: door_opened(group, 0, 3) and door_opened(group, 1, 2), "both served their calls")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_termination_signal_stops_the_motor_and_ends_the_node(tmp_path: Path, number: signal.Signals) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "cab", 3)
        group.wait(lambda: group.states()[0]["motor"] == "up", "the car moved")
        group.nodes[0].send_signal(number)
        assert group.nodes.pop(0).wait(30) == 0
        group.wait(lambda: group.states()[0]["motor"] == "stop", "the motor stopped")
        group.wait_for(1, "node 0 timed out")
        assert "Traceback" not in group.log(0)


def test_garbage_on_the_network_port_is_dropped_and_logged_a_few_times(tmp_path: Path) -> None:
    lines_max = 10  # The node logs each of the two reasons at most five times in 30 s.
    with lab(tmp_path, cars=1) as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for _ in range(500):
            attacker.sendto(os.urandom(200), ("127.0.0.1", group.net_port))
        group.wait_for(0, "dropped a datagram")
        group.press(0, "cab", 1)
        group.wait(lambda: door_opened(group, 0, 1), "the node kept serving")
        assert group.log(0).count("dropped a datagram") <= lines_max
