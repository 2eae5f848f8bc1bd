"""Whole nodes as their users start them, over real sockets, hurt from outside."""

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
    """Tell whether the door of *car* has been open at *floor*."""
    at = None
    for event in lab.ask("events", since=0)["events"]:
        if event["car"] == car and event["kind"] == "sensor":
            at = event["value"]
        if event["car"] == car and event["kind"] == "door" and event["value"] and at == floor:
            return True
    return False


@pytest.mark.quick
def test_a_group_serves_what_is_pressed(tmp_path: Path) -> None:
    with lab(tmp_path) as group:
        group.press(0, "up", 1)
        group.press(1, "down", 3)
        group.press(2, "cab", 2)
        group.wait(lambda: ("down", 3) in group.lamps(0) & group.lamps(1) & group.lamps(2), "hall lamps lit everywhere")
        group.wait(lambda: ("cab", 2) in group.lamps(2), "the cab lamp lit")
        assert ("cab", 2) not in group.lamps(0) | group.lamps(1)
        group.wait_until_dark()
        assert door_opened(group, 2, 2)
        assert group.misbehaviour() == 0


@pytest.mark.quick
def test_a_killed_nodes_calls_are_served_by_others_and_its_cab_calls_when_it_is_back(tmp_path: Path) -> None:
    with lab(tmp_path) as group:
        group.press(0, "cab", 3)
        group.press(0, "up", 1)
        group.wait(lambda: group.lamps(0) == {("cab", 3), ("up", 1)}, "both lamps lit")
        group.wait(lambda: group.lamps(1) == {("up", 1)}, "the others know")
        group.kill(0)
        group.wait_until_dark()
        assert group.lamps(0) >= {("cab", 3)}, "nobody is there to put it out"
        group.start(0)
        group.wait_until_dark()
        assert door_opened(group, 0, 3)
        assert group.misbehaviour() == 0


def test_all_killed_at_once_and_started_again_serve_what_was_lit(tmp_path: Path) -> None:
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


def test_a_blackout_is_survived_also_by_what_was_on_a_disk_that_is_wiped(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "cab", 2)
        group.press(1, "down", 3)
        group.wait(lambda: ("cab", 2) in group.lamps(0) and ("down", 3) in group.lamps(1), "lamps lit")
        for id in range(2):
            group.kill(id)
        shutil.rmtree(tmp_path / "state-0")
        group.start(0)
        group.wait_for(0, "in service", times=2)
        assert not door_opened(group, 0, 2), "it cannot know yet"
        group.start(1)
        group.wait(lambda: door_opened(group, 0, 2), "the other's copy of the cab call was served")
        group.wait_until_dark()


def test_a_node_whose_disk_takes_nothing_serves_on(tmp_path: Path) -> None:
    """A file-size limit stands for a full disk; there is one for root, too."""
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
        group.wait(lambda: door_opened(group, 0, 2), "it served")


def test_an_elevator_server_may_come_late_and_go_away(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.ask("server", car=0, on=False)
        group.start(0)
        group.start(1)
        group.wait_for(0, "not there yet")
        group.ask("server", car=0, on=True)
        group.wait_for(0, "in service")
        group.press(0, "cab", 3)
        group.wait(lambda: group.lamps(0) == {("cab", 3)}, "the lamp lit")
        group.ask("server", car=0, on=False)
        group.wait_for(0, "lost")
        group.ask("server", car=0, on=True)
        group.wait_until_dark()
        assert door_opened(group, 0, 3)
        assert group.log(0).count("not there yet") == 1


def test_a_stopped_motor_hands_hall_calls_over(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "down", 3)
        group.wait(lambda: any(state["sensor"] is None for state in group.states()), "a car was on its way")
        (car,) = (state["car"] for state in group.states() if state["sensor"] is None)
        group.ask("power", car=car, on=False)
        group.wait(lambda: door_opened(group, 1 - car, 3), "the other one came")
        assert "out of service: motor" in group.log(car)
        group.ask("power", car=car, on=True)
        group.wait_for(car, "in service", times=2)
        group.wait_until_dark()
        assert group.misbehaviour() == 0


def test_a_blocked_door_hands_hall_calls_over(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "cab", 0)
        group.wait(lambda: group.states()[0]["door"], "the door opened")
        group.ask("obstruct", car=0, on=True)
        group.wait_for(0, "out of service: door held open")
        group.press(0, "up", 1)
        group.wait(lambda: door_opened(group, 1, 1), "the other one came")
        assert group.states()[0]["door"], "it never closes while obstructed"
        group.ask("obstruct", car=0, on=False)
        group.wait(lambda: not group.states()[0]["door"], "the door closed")
        assert group.misbehaviour() == 0


def test_a_frozen_node_is_replaced_and_comes_back(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group:
        group.signal(0, signal.SIGSTOP)
        group.wait_for(1, "node 0 is silent")
        group.press(1, "down", 3)
        group.wait(lambda: door_opened(group, 1, 3), "the other one served")
        group.signal(0, signal.SIGCONT)
        group.wait_for(1, "node 0 is alive", times=2)
        group.press(0, "cab", 1)
        group.wait(lambda: door_opened(group, 0, 1), "it serves")
        group.wait_until_dark()


def test_a_second_node_on_one_record_is_refused(tmp_path: Path) -> None:
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


def test_two_nodes_with_one_id_say_so_and_serve_on(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.start(0, "--port", str(group.port))
        group.start(1, "--id", "0")
        for id in (0, 1):
            group.wait_for(id, "another node uses this one's id")
        group.press(0, "cab", 1)
        group.press(1, "cab", 2)
        group.wait(lambda: door_opened(group, 0, 1) and door_opened(group, 1, 2), "both served their own")
        group.wait_until_dark()
        assert not door_opened(group, 0, 2)


def test_nodes_with_different_floor_counts_say_so_and_serve_on(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2, start=False) as group:
        group.start(0)
        group.start(1, "--floors", "3")
        group.wait_for(0, "node 1 has 3 floors")
        group.wait_for(1, "node 0 has 4 floors")
        group.press(0, "cab", 3)
        group.press(1, "cab", 2)
        group.wait(lambda: door_opened(group, 0, 3) and door_opened(group, 1, 2), "both served")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_node_cleanly_with_its_motor_stopped(tmp_path: Path, number: signal.Signals) -> None:
    with lab(tmp_path, cars=2) as group:
        group.press(0, "cab", 3)
        group.wait(lambda: group.states()[0]["motor"] == "up", "it was moving")
        group.nodes[0].send_signal(number)
        assert group.nodes.pop(0).wait(30) == 0
        group.wait(lambda: group.states()[0]["motor"] == "stop", "the motor stopped")
        group.wait_for(1, "node 0 is silent")
        assert "Traceback" not in group.log(0)


def test_garbage_on_the_port_is_counted_and_dropped(tmp_path: Path) -> None:
    lines_max = 10  # There are two reasons, and each is logged at most five times in the first 30 s.
    with lab(tmp_path, cars=1) as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(500):
            stranger.sendto(os.urandom(200), ("127.0.0.1", group.net_port))
        group.wait_for(0, "dropped a datagram")
        group.press(0, "cab", 1)
        group.wait(lambda: door_opened(group, 0, 1), "it served on")
        assert group.log(0).count("dropped a datagram") <= lines_max
