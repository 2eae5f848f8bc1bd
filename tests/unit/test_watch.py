"""`elevator watch`: its views of received heartbeats, and the command itself."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from lab import PATIENCE_S, PROGRAM, free_port, lab, watching
from rich.cells import cell_len
from websockets.sync.client import connect
from websockets.typing import Origin

from elevator.cli.watch import main
from elevator.cli.watch_view import FORGET_MS, Group, draw, forget, receive, rows, scene
from elevator.core.call_set import press
from elevator.core.messages import Heartbeat
from elevator.core.model import (
    EVERY_CAR,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Fault,
)

CAR = Car(2, Direction.UP, Behaviour.DOOR_OPEN, Fault.NONE)


def heartbeat(id: int = 1, sequence: int = 1, incarnation: int = 5, floors: int = 4, car: Car = CAR) -> Heartbeat:
    author = Author(id, incarnation)
    calls = press(press(Calls(), author, Call(Button.UP, 1, EVERY_CAR)), author, Call(Button.CAB, 3, id))
    return Heartbeat(author, sequence, floors, car, Buttons(up=2), 1, calls, version="1.2.3")


def receive_all(sequences: list[int], interval_ms: int = 50) -> tuple[Group, int]:
    group, now_ms = Group(), 0
    for sequence in sequences:
        now_ms += interval_ms
        group = receive(group, heartbeat(sequence=sequence), "10.0.0.1", now_ms)
    return group, now_ms


def test_row_contains_the_heartbeat_and_its_statistics() -> None:
    group, now_ms = receive_all(list(range(1, 101)))
    (row,) = rows(group, now_ms + 7)
    assert row.pop("loss") == pytest.approx(0.014, abs=0.005)  # The estimate starts above 0 and falls slowly.
    assert row == {
        "id": 1,
        "address": "10.0.0.1",
        "incarnation": 5,
        "version": "1.2.3",
        "alive": True,
        "age_ms": 7,
        "per_second": 20.0,
        "floors": 4,
        "floor": 2,
        "direction": "up",
        "behaviour": "door_open",
        "door": True,
        "fault": "none",
        "takes": {"up": [1], "down": []},
        "hall": {"up": [1], "down": []},
        "cab": [3],
        "hears": [0],
        "twice": False,
    }


def test_loss_is_computed_from_sequence_numbers_despite_duplicates() -> None:
    group, now_ms = receive_all([sequence for each in range(1, 600, 2) for sequence in (each, each)])
    (row,) = rows(group, now_ms)
    assert row["loss"] == pytest.approx(0.5, abs=0.03)
    assert row["per_second"] == pytest.approx(10, abs=1)


def test_node_that_timed_out_is_shown_and_finally_forgotten() -> None:
    group, now_ms = receive_all([1, 2, 3])
    assert rows(group, now_ms + 5000)[0]["alive"] is False
    assert "timed out, last heard 5 s ago" in draw(group, "lab", now_ms + 5000, 100, 20).plain
    assert forget(group, now_ms + FORGET_MS - 1) is group
    assert forget(group, now_ms + FORGET_MS).nodes == {}


def test_different_versions_are_reported() -> None:
    group, now_ms = receive_all([1])
    group = receive(group, heartbeat(2), "10.0.0.2", now_ms)
    assert "1.2.3" in draw(group, "lab", now_ms, 120, 20).plain
    assert "different versions" not in draw(group, "lab", now_ms, 120, 20).plain
    group = receive(group, evolve(heartbeat(3), version="1.2.4"), "10.0.0.3", now_ms)
    assert "nodes run different versions" in draw(group, "lab", now_ms, 120, 20).plain


def test_duplicate_id_is_reported() -> None:
    group, now_ms = receive_all([1, 2, 3])
    group = receive(group, heartbeat(incarnation=3), "10.0.0.2", now_ms)
    assert rows(group, now_ms)[0]["twice"] is False, "this heartbeat of an earlier incarnation may be late"
    group, now_ms = receive_all([*range(1, 9)])
    group = receive(group, heartbeat(incarnation=3), "10.0.0.2", now_ms)
    (row,) = rows(group, now_ms)
    assert (row["twice"], row["incarnation"], row["address"]) == (True, 5, "10.0.0.1")
    assert "duplicate id" in draw(group, "lab", now_ms, 100, 20).plain
    assert rows(group, now_ms + 10_000)[0]["twice"] is False


def test_terminal_view_shows_each_node_and_its_calls_and_problems_of_the_group() -> None:
    group, now_ms = receive_all([1])
    group = receive(group, heartbeat(2, floors=6, car=evolve(CAR, fault=Fault.MOTOR)), "10.0.0.2", now_ms)
    picture = draw(evolve(group, refused={"without a key": 3}), "lab", now_ms, 120, 20).plain
    assert (
        "group lab: 2 of 2 nodes alive, 3 datagrams dropped: without a key, nodes have different numbers of floors"
        in picture
    )
    assert " 1 ●  2▲ door open" in picture
    assert "▲1" in picture
    assert "■3" in picture
    assert " 2 ●  2▲ motor" in picture
    assert "waiting for heartbeats" in draw(Group(), "lab", 0, 80, 24).plain


def test_terminal_view_uses_the_singular_for_one_node_and_one_datagram() -> None:
    group, now_ms = receive_all([1])
    picture = draw(evolve(group, refused={"replayed": 1}), "lab", now_ms, 120, 20).plain
    assert "group lab: 1 of 1 node alive, 1 datagram dropped: replayed" in picture


@given(st.integers(0, 64), st.integers(1, 250), st.integers(1, 80), st.integers(0, 10_000))
def test_terminal_view_fits_any_group_in_any_terminal(nodes: int, width: int, height: int, now_ms: int) -> None:
    group = Group()
    for id in range(nodes):
        group = receive(group, heartbeat(id), "10.0.0.1", 0)
    lines = draw(group, "lab", now_ms, width, height).plain.split("\n")
    assert len(lines) <= max(1, height - 1)
    assert all(cell_len(line) <= max(1, width - 1) for line in lines)
    if width >= 120 and height >= 24 and now_ms < 100:
        assert "".join(lines).count("●") == nodes  # All nodes are visible, up to 64.


def test_page_shows_a_car_for_each_node() -> None:
    group, now_ms = receive_all([1])
    group = receive(group, heartbeat(7, floors=9, car=evolve(CAR, behaviour=Behaviour.MOVING)), "10.0.0.2", now_ms)
    shown: dict[str, Any] = scene(group, now_ms)
    assert (shown["building"]["floors"], shown["building"]["cars"], shown["building"]["names"]) == (9, 2, [1, 7])
    assert (shown["car0"]["height"], shown["car0"]["door"], shown["car1"]["height"]) == (2, True, 2.5)
    assert (shown["node1"]["heard"], shown["node1"]["up"]) == (True, [1])
    assert shown["node1"]["note"] == "0/s, 10 % lost, 10.0.0.2, 1.2.3"
    assert scene(Group(), 0)["building"]


def test_page_shows_an_obstructed_door_of_a_car_in_service() -> None:
    group = receive(Group(), heartbeat(car=evolve(CAR, obstructed=True)), "10.0.0.1", 0)
    shown: dict[str, Any] = scene(receive(group, heartbeat(7), "10.0.0.2", 0), 0)
    assert (shown["car0"]["obstructed"], shown["car1"]["obstructed"]) == (True, False)


# The command


def test_watch_shows_a_running_group_and_a_killed_node(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group, watching("--net-port", str(group.net_port), "--web", "0") as watch:

        def nodes() -> list[dict[str, Any]]:
            nodes: list[dict[str, Any]] = watch.last["nodes"]
            return nodes

        group.wait(lambda: [n["fault"] for n in nodes() if n["alive"]] == ["none"] * 2, "both nodes are in service")
        assert watch.last["group"] == "lab"
        assert [node["id"] for node in watch.lines[0]["nodes"]] == [0, 1], "the first line lists all nodes"
        group.press(0, Button.CAB, 3)
        group.wait(lambda: nodes()[0]["floor"] == 3, "the car is at floor 3")
        assert watch.process.stderr is not None
        host = watch.process.stderr.readline().split()[1].removeprefix("http://").rstrip("/")
        with connect(f"ws://{host}/live", origin=Origin(f"http://{host}")) as page:
            assert json.loads(page.recv(PATIENCE_S))["scene"]["building"]["cars"] == 2
            page.send('{"do": "press", "car": 0, "button": "cab", "floor": 1}')
            while "error" not in (reply := json.loads(page.recv(PATIENCE_S))):
                pass
            assert reply == {"error": "this page is read-only"}
        group.kill(1)
        group.wait(lambda: [n["alive"] for n in nodes()] == [True, False], "node 1 timed out")
        assert group.misbehaviour() == 0


def test_watch_ends_when_its_output_pipe_is_closed() -> None:
    port = str(free_port(socket.SOCK_DGRAM))
    with subprocess.Popen(
        [*PROGRAM, "watch", "--json", "--net-port", port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["nodes"] == []
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 141
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "argv",
    [["--net-port", "0"], ["--group", ""], ["--broadcast", "239.1.2"], ["--web", "x"], ["--json", "x"]],
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_port_that_another_program_owns_is_reported_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        port = other.getsockname()[1]
        assert main(["--json", "--net-port", str(port)]) == 2
    assert capsys.readouterr().err == f"elevator watch: cannot open UDP port {port} (Address already in use)\n"


def test_help_prints_single_percent_signs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "starts at 10 %." in " ".join(capsys.readouterr().out.split())
