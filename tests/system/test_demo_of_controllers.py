"""Running demos of another program's controllers. The tests use the WebSocket of the page to control the demos.

In most tests, the other program is in fact this program, started like any other.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, WITHOUT_NAMESPACES, demo, free_port
from page_client import CARS, FLOORS, Page, children_of, open_page

from elevator.exam.sandbox import obstacle
from elevator.net.broadcast import LOOPBACK

OPTIONS = ("--floors", str(FLOORS), "--rate", "0", "--seed", "4")
CONTROLLER = (*PROGRAM, "--id", "{id}", "--port", "{port}", "--floors", "{floors}", "--state-dir", "{dir}/record")
obstacle_here = cache(obstacle)


def wait_until_ready(page: Page) -> None:
    page.wait(
        lambda: all(page.car(car)["client"] and page.car(car)["sensor"] is not None for car in CARS),
        "all controllers were connected and all cars at a floor",
    )


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if reason := obstacle_here():
        pytest.skip(reason)
    with demo(*OPTIONS, "--", *CONTROLLER) as (_, address), open_page(address) as page:
        wait_until_ready(page)
        yield page


def serve_far_call(page: Page, victim: int | None = None) -> None:
    """Press the up button at `far_floor`. Wait until its lamp lights and a car other than *victim* serves the call."""
    floor = page.far_floor()
    page.ask("press", car=0, button="up", floor=floor)
    page.wait(lambda: page.is_lit(floor), "the call was lit")
    page.wait(lambda: set(page.is_open_at(floor)) - {victim}, "a car came")
    page.wait(lambda: not page.is_lit(floor), "the lamps went out")


def test_controllers_serve_a_call_and_the_page_shows_only_their_state_and_cable(page: Page) -> None:
    assert page.scene["building"]["driver"] == "controller"
    assert page.scene["building"]["network"] is True
    assert all(page.node(car) == {"state": "running", "plugged": True} for car in CARS)
    serve_far_call(page)


def test_another_car_serves_the_call_of_a_killed_controller(page: Page) -> None:
    floor = page.far_floor()
    page.ask("press", car=0, button="up", floor=floor)
    page.wait(lambda: page.is_lit(floor), "the call was lit")
    page.wait(lambda: any(page.car(car)["motor"] for car in CARS), "a car started")
    (victim, *_) = (car for car in CARS if page.car(car)["motor"])
    assert page.ask("kill", node=victim) == {"ok": True}
    page.wait(lambda: page.node(victim)["state"] == "killed" and not page.car(victim)["client"], "the victim was dead")
    page.wait(lambda: set(page.is_open_at(floor)) - {victim}, "another car came")
    assert page.ask("start", node=victim) == {"ok": True}
    page.wait(lambda: page.node(victim)["state"] == "running" and page.car(victim)["client"], "the victim was back")


def test_controller_is_frozen_and_resumed(page: Page) -> None:
    page.ask("freeze", node=2, on=True)
    page.wait(lambda: page.node(2)["state"] == "frozen", "controller 2 was frozen")
    page.ask("freeze", node=2, on=False)
    page.wait(lambda: page.node(2)["state"] == "running", "controller 2 was resumed")


def test_unplugged_controller_serves_a_cab_call_and_rejoins_the_group_when_replugged(page: Page) -> None:
    gone, back = "node 1: node 0 timed out", "node 1: node 0 is alive"
    started = "node 1: started"  # An earlier test may have restarted node 1.
    page.wait(lambda: page.last_logged(started, gone, back) == back, "node 1 received heartbeats of node 0")
    page.ask("unplug", node=0, on=True)
    page.wait(lambda: not page.node(0)["plugged"], "controller 0 was unplugged")
    page.wait(lambda: page.last_logged(gone, back) == gone, "node 1 noticed")
    page.ask("press", car=0, button="cab", floor=4)
    page.wait(lambda: 0 in page.is_open_at(4), "the car served its cab call")
    page.ask("unplug", node=0, on=False)
    page.wait(lambda: page.last_logged(gone, back) == back, "node 1 received heartbeats of node 0 again")


def test_controllers_lose_their_peers_at_100_percent_packet_loss_and_find_them_again(page: Page) -> None:
    gone, back = "node 1: node 2 timed out", "node 1: node 2 is alive"
    started = "node 1: started"
    page.wait(lambda: page.last_logged(started, gone, back) == back, "node 1 received heartbeats of node 2")
    page.ask("lose", percent=100)
    page.wait(lambda: page.scene["loss"] == 100, "the loss was 100 %")
    page.wait(lambda: page.last_logged(gone, back) == gone, "node 1 noticed")
    page.ask("lose", percent=0)
    page.wait(lambda: page.last_logged(gone, back) == back, "node 1 received heartbeats of node 2 again")


def test_controller_reconnects_to_its_restarted_elevator_server(page: Page) -> None:
    page.ask("server", car=1, on=False)
    page.wait(lambda: not page.car(1)["client"], "the controller was disconnected")
    page.ask("server", car=1, on=True)
    page.wait(lambda: page.car(1)["client"], "the controller was connected again")


def test_controllers_start_one_after_the_other_with_a_start_gap() -> None:
    options = ("--cars", "2", "--rate", "0", "--start-gap", "2", "--port", str(free_port(socket.SOCK_STREAM, 2)))
    with demo(*options, "--", "sleep", "1000") as (_, address), open_page(address) as page:
        page.wait(lambda: page.node(0)["state"] == "running" and page.node(1)["state"] == "unstarted", "only one ran")
        page.wait(lambda: page.node(1)["state"] == "running", "the other ran too")


def test_controller_that_exits_by_itself_is_reported_and_fails_the_demo() -> None:
    options = ("--cars", "2", "--rate", "0", "--port", str(free_port(socket.SOCK_STREAM, 2)))
    command = ("sh", "-c", "if [ {id} = 1 ]; then exit 3; fi; sleep 1000")
    with demo(*options, "--", *command) as (process, address), open_page(address) as page:
        page.wait(lambda: page.node(1)["state"] == "ended", "controller 1 had ended")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert "controller 1 exited by itself with status 3" in output
        assert process.returncode == 1


def test_without_namespaces_the_page_offers_no_network_faults() -> None:
    """Without namespaces, the controllers run on this machine's own network."""
    if subprocess.run([*WITHOUT_NAMESPACES, "true"], check=False).returncode:
        pytest.skip("cannot create a user namespace")
    where = ("--net-port", str(free_port(socket.SOCK_DGRAM)), "--broadcast", LOOPBACK)
    options = (*OPTIONS, "--port", str(free_port(socket.SOCK_STREAM, len(CARS))), "--", *CONTROLLER, *where)
    with demo(*options, prefix=WITHOUT_NAMESPACES) as (process, address), open_page(address) as page:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("cannot create network namespaces")
        wait_until_ready(page)
        assert page.scene["building"]["network"] is False
        assert "loss" not in page.scene
        assert all(page.node(car) == {"state": "running", "plugged": None} for car in CARS)
        assert list(page.ask("lose", percent=10)) == list(page.ask("unplug", node=0, on=True)) == ["error"]
        page.ask("kill", node=1)
        page.wait(lambda: page.node(1)["state"] == "killed", "the controller was dead")
        serve_far_call(page, victim=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_demo_leaves_no_processes_or_files_behind_after_a_signal(number: signal.Signals) -> None:
    if reason := obstacle_here():
        pytest.skip(reason)
    with demo("--rate", "0", "--", *CONTROLLER) as (process, address), open_page(address) as page:
        page.wait(lambda: all(page.car(car)["client"] for car in CARS), "all controllers were connected")
        page.ask("freeze", node=0, on=True)
        started = descendants_of(process.pid)
        namespaces = {network_of(pid) for pid in [process.pid, *started]}
        assert len(namespaces) == 1 + len(CARS)
        assert network_of(os.getpid()) not in namespaces
        arguments = [part for pid in started for part in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
        (directory,) = {Path(part).parents[1] for part in arguments if part[:1] == "/" and part.endswith("/record")}
        assert directory.is_dir()
        process.send_signal(number)
        process.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while directory.exists() or namespaces & {network_of(pid) for pid in all_pids()}:
            assert time.monotonic() < deadline, "the demo's directory or a network namespace is left"
            time.sleep(0.05)
        assert process.returncode == (-number if number is signal.SIGKILL else 0)


def descendants_of(parent: int) -> list[int]:
    children = children_of(parent)
    return children + [pid for child in children for pid in descendants_of(child)]


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def network_of(pid: int) -> str:
    """Return the network namespace of a process; empty if the process has ended or belongs to another user."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""
