"""The worker's connection to its supervisor, in virtual time."""

import itertools
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from elevator.processes.worker_link import BEAT, BEAT_MS, EARLY_MS, SUPERVISOR_TIMEOUT_MS, Link


class Pair:
    """A Link, and the supervisor's end of its socket."""

    def __init__(self) -> None:
        ours, self.supervisor = socket.socketpair()
        self.supervisor.setblocking(False)
        self.process = subprocess.Popen(["sleep", "60"])  # The link kills it if the supervisor hangs.
        self.link = Link(ours, os.pidfd_open(self.process.pid))

    def has_received_beats(self) -> bool:
        """Receive the beats that have arrived. Return whether there were any."""
        try:
            return BEAT in self.supervisor.recv(4096)
        except BlockingIOError:
            return False


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.supervisor.close()
    if made.link.socket is not None:
        made.link.socket.close()
    made.process.kill()
    made.process.wait()


@pytest.mark.parametrize("wake_ms", [1, 7, 50])
def test_beats_share_the_wake_ups_of_the_worker(pair: Pair, wake_ms: int) -> None:
    beats = []
    for now_ms in range(0, 2000, wake_ms):
        pair.link.poll(now_ms, readable=False)
        if pair.has_received_beats():
            beats.append(now_ms)
    gaps = [later - earlier for earlier, later in itertools.pairwise(beats)]
    assert min(gaps) >= BEAT_MS - EARLY_MS
    assert max(gaps) <= BEAT_MS


def test_supervisor_that_answers_no_beat_is_replaced(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(pair.link, "_start_supervisor", started.append)
    for now_ms in range(0, SUPERVISOR_TIMEOUT_MS + 1000, 50):
        pair.link.poll(now_ms, readable=False)
        if started:
            break
    assert SUPERVISOR_TIMEOUT_MS <= started[0] <= SUPERVISOR_TIMEOUT_MS + BEAT_MS


def test_supervisor_is_kept_after_a_stall_of_the_worker(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair.link, "_start_supervisor", lambda now_ms: pytest.fail("the link replaced the supervisor"))
    for now_ms in (0, 100, 60_000, 60_100, 60_100 + SUPERVISOR_TIMEOUT_MS // 2):
        pair.link.poll(now_ms, readable=False)
    assert pair.link.socket is not None
