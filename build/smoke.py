"""Smoke test: run every command of the program and print a line for each step. Exit with status 1 if a step fails.

    python build/smoke.py dist/elevator
    python build/smoke.py .cache/venv/bin/python -m elevator

`elevator exam` examines three nodes while half of all packets are lost. Set EXAM_NO_NETWORK=1 on a machine that forbids
network namespaces: then no packets are lost. Two more nodes share a key and have simulated I/O cards on
pseudo-terminals. One drives its card directly, the other through `elevator serve-card`. The test presses buttons on
their panels. The lamps of all calls must light, both doors must open, and the lamps must go out. At the end, the test
sends SIGTERM to all programs that it has left running. They must exit within END_S, with status 0, and leave no process
behind. Finally, the test fails if it has not run every command that `--help` lists.
"""

import json
import os
import pty
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE_S = 60.0
"""The timeout of most steps. It allows several trips over all floors on a slow machine."""
EXAM_TEST, EXAM_TEST_WITHOUT_NETWORK = "loss50", "lamps"
EXAM_S = 600.0
"""The timeout of the exam."""
END_S = 2.0
MARK = "ELEVATOR_SMOKE"
"""The environment variable by which `descendants` finds the processes of the programs that `Programs` has started."""


class Failed(Exception):
    """A step of the test has failed; the text is the reason."""


class Call(NamedTuple):
    """A call on the panel of `car`. `button` is "up", "down" or "cab"."""

    car: int
    button: str
    floor: int


class SimulatorClient:
    """A client of the simulator's control socket."""

    def __init__(self, port: int) -> None:
        self._stream = socket.create_connection(("127.0.0.1", port), timeout=10).makefile("rwb")

    def ask(self, do: str, **what: object) -> dict[str, Any]:
        self._stream.write(json.dumps({"do": do, **what}).encode() + b"\n")
        self._stream.flush()
        reply: dict[str, Any] = json.loads(self._stream.readline())
        if "error" in reply:
            raise Failed(f"the simulator refused the request {do!r}: {reply['error']}")
        return reply

    def cars(self) -> list[dict[str, Any]]:
        cars: list[dict[str, Any]] = self.ask("state")["cars"]
        return cars

    def lit(self) -> set[Call]:
        """Return the lit lamps of all panels, as calls."""
        lamps = [(car["car"], button, floors) for car in self.cars() for button, floors in car["lamps"].items()]
        return {Call(car, button, floor) for car, button, floors in lamps for floor in floors}

    def opened(self) -> set[int]:
        """Return the cars whose door has opened since the simulator started."""
        return {event["car"] for event in self.ask("events", since=0)["events"] if event["kind"] == "door"}


def wait(what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"timed out after {patience_s:.0f} s waiting for {what}")
        time.sleep(0.02)


def expect(truth: bool, otherwise: str) -> None:
    if not truth:
        raise Failed(otherwise)


def step(text: str) -> None:
    print(f"{Path(sys.argv[0]).stem}: {text}", flush=True)


def descendants(mark: str) -> list[int]:
    """Return the pids of all processes whose MARK environment variable begins with *mark*."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and is_marked(entry, mark)]


def is_marked(process: Path, mark: str) -> bool:
    try:
        return f"\0{MARK}={mark}".encode() in b"\0" + (process / "environ").read_bytes()
    except OSError:  # The process has ended, or belongs to another user.
        return False


def kill(mark: str) -> None:
    """Kill the `descendants` of *mark*. Suspend them first, so that none can replace another."""
    while pids := descendants(mark):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        time.sleep(0.01)


class Programs:
    """Starts and ends instances of the program."""

    def __init__(self, command: list[str], scratch: Path) -> None:
        self._command = command
        self._scratch = scratch
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.used: set[str] = set()
        """The commands that have been run; "" stands for a node."""
        self.variables: dict[str, str] = {}
        """Additional environment variables."""

    def mark(self, name: str) -> str:
        return f"{self._scratch.name}/{name}/"

    def _environment(self, name: str) -> dict[str, str]:
        # A new cache makes the binary unpack itself, as on a new machine.
        fresh = {MARK: self.mark(name), "XDG_CACHE_HOME": str(self._scratch / "cache")}
        return os.environ | fresh | self.variables

    def capture(
        self, *arguments: str, patience_s: float = PATIENCE_S
    ) -> tuple[subprocess.CompletedProcess[str], float]:
        """Run the program until it exits. Return the result and the duration in seconds."""
        self._note(arguments)
        began = time.monotonic()
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment("captured"),
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
        return done, time.monotonic() - began

    def run(self, *arguments: object) -> str:
        """Run a command that must succeed. Return its output."""
        done, _ = self.capture(*map(str, arguments))
        expect(done.returncode == 0, f"{arguments[0]}: status {done.returncode}, {done.stderr!r}")
        return done.stdout

    def start(self, name: str, *arguments: object) -> None:
        self._note(arguments)
        with (self._scratch / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [*self._command, *map(str, arguments)],
                env=self._environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _note(self, arguments: Sequence[object]) -> None:
        if arguments[0] not in ("--version", "--help", "--no-such-thing"):
            self.used.add("" if str(arguments[0]).startswith("-") else str(arguments[0]))

    def end(self) -> float:
        """End the programs in `running` with SIGTERM; return the duration in seconds.

        Raise Failed if one has already exited, exits with a status other than 0, leaves a process behind or takes
        longer than END_S.
        """
        began = time.monotonic()
        for name, process in self.running.items():
            expect(process.poll() is None, f"{name} ended early with status {process.returncode}")
            process.terminate()
        wait("all programs to exit", lambda: all(p.poll() is not None for p in self.running.values()), END_S)
        took = time.monotonic() - began
        for name, process in self.running.items():
            expect(process.returncode == 0, f"SIGTERM ended {name} with status {process.returncode}, not 0")
            expect(not descendants(self.mark(name)), f"{name} left processes running")
        return took


def try_arguments(programs: Programs) -> set[str]:
    """Check `--version`, `--help` and a wrong argument; return the commands that the help lists."""
    done, first_s = programs.capture("--version")
    printed = done.stdout + done.stderr
    expect(done.returncode == 0 and done.stdout.startswith("elevator "), f"--version printed {printed}")
    _, next_s = programs.capture("--version")
    step(f"{done.stdout.strip()}: the first start took {first_s:.2f} s, the next {next_s:.2f} s")

    done, _ = programs.capture("--help")
    expect(done.returncode == 0 and done.stdout.startswith("usage: elevator"), f"--help printed {done.stdout!r}")
    commands = set(re.findall(r"^  elevator ([a-z][a-z-]*)", done.stdout, re.MULTILINE))
    expect(len(commands) > 1, f"--help lists no commands: {done.stdout!r}")
    step(f"--help lists {len(commands)} commands")

    done, _ = programs.capture("--no-such-thing")
    one_line = not done.stdout and len(done.stderr.splitlines()) == 1
    expect(done.returncode == 2 and one_line, f"a wrong argument: status {done.returncode}, {done.stderr!r}")
    step(f"a wrong argument: status 2 and one line: {done.stderr.strip()}")
    return commands


def try_locale(programs: Programs, scratch: Path) -> None:
    """Check that the program starts in a locale whose codec the binary lacks. bootstrap.c replaces the locale."""
    folder = scratch / "locales"
    folder.mkdir()
    with suppress(OSError):  # There may be no localedef.
        make = ["localedef", "--no-archive", "--force", "-f", "EUC-JP", "-i", "ja_JP", f"{folder}/ja_JP.EUC-JP"]
        subprocess.run(make, check=False, capture_output=True)
    if not (folder / "ja_JP.EUC-JP").exists():
        step("skipped the test of a Japanese locale: this machine lacks localedef or the locale sources")
        return
    programs.variables = {"LOCPATH": str(folder), "LC_ALL": "ja_JP.EUC-JP"}
    programs.run("--version")
    programs.variables = {}
    step("the program starts in a Japanese locale")


def try_assigner(programs: Programs) -> None:
    cab = [False, False]
    car = {"behaviour": "idle", "floor": 0, "direction": "stop", "cabRequests": cab}
    asked = json.dumps({"hallRequests": [[False, False], [False, True]], "states": {"a": car}})
    for algorithm in ("reference", "plan"):
        done, took_s = programs.capture("assign", "--algorithm", algorithm, "--input", asked)
        expect(done.stdout == '{"a":[[false,false],[false,true]]}\n', f"assign printed {done.stdout + done.stderr!r}")
        step(f"assign --algorithm {algorithm} answers in {took_s:.2f} s")


def try_simulations(programs: Programs) -> None:
    small = ("--configs", "3x4", "--loads", "light", "--profiles", "up", "--seeds", 1, "--passengers", 200)
    table = programs.run("bench", "dispatch", *small)
    expect("relative to reference" in table, f"bench printed {table}")
    (cell,) = json.loads(programs.run("bench", "dispatch", *small, "--json"))["cells"]
    step(f"bench: a mean wait of {cell['own']['wait_s']:.1f} s in cell {cell['config']}")
    down_peak = json.loads(programs.run("bench", "crites-barto", "--seeds", 1, "--json"))["mixes"]["down only"]
    step(f"bench: a mean wait of {down_peak['measured']['plan']['wait_s']:.1f} s in a down-peak hour")
    soaked = programs.run("soak", "--seeds", "1..2").splitlines()[-1]
    expect(soaked == "2 passed, 0 failed", f"soak printed {soaked}")
    step(f"soak: {soaked}")
    shown = programs.run("demo", "--cars", 2, "--rate", 600, "--seed", 2, "--for", 5, "--no-web").splitlines()[-1]
    expect(re.match("[1-9].* passengers? served", shown) is not None, f"demo printed {shown}")
    step(f"demo: {shown}")


def free_ports() -> tuple[int, int]:
    """Return the first of four consecutive free TCP ports, and a free UDP port. None of them is ephemeral."""
    while True:
        first = random.randrange(15_000, 30_000)
        if all(is_free(socket.SOCK_STREAM, first + k) for k in range(4)) and is_free(socket.SOCK_DGRAM, first):
            return first, first


def is_free(kind: int, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def try_exam(programs: Programs, command: list[str]) -> None:
    node = [*command, "--id", "{id}", "--port", "{port}", "--floors", "{floors}", "--state-dir", "{dir}"]
    only = [EXAM_TEST, "--need-network"]
    if os.environ.get("EXAM_NO_NETWORK") == "1":
        only = [EXAM_TEST_WITHOUT_NETWORK]
    options = ["--port", str(free_ports()[0]), "--only", *only]
    done, took_s = programs.capture("exam", *options, "--", *node, patience_s=EXAM_S)
    expect(done.returncode == 0, f"exam: status {done.returncode}, {done.stdout + done.stderr}")
    step(f"three nodes passed an exam of {took_s:.0f} s")


def try_card(programs: Programs, scratch: Path) -> None:
    port, net_port = free_ports()
    prefix, key = scratch / "card-", scratch / "lab.key"
    programs.run("keygen", key)
    control, served = port + 2, port + 3
    cards = ["--cars", 2, "--port", port, "--control", control, "--at", 0, "--card", prefix]
    programs.start("cards", "sim", "--headless", *cards)
    wait("the simulator with I/O cards to listen", lambda: answers(control))
    building = SimulatorClient(control)
    programs.start("serve-card", "serve-card", "--serial", f"{prefix}1", "--port", served)
    group = ["--group", f"smoke-{os.getpid()}", "--net-port", net_port, "--broadcast", "127.255.255.255"]
    group += ["--key-file", key]
    for node, elevator in enumerate([("--serial", f"{prefix}0"), ("--port", served)]):
        # A car that parks at the floor of a press would serve the call before its lamp lights.
        programs.start(f"node-on-card-{node}", "--id", node, *elevator, "--park", "none", "--no-record", *group)
    wait("both nodes to show the floor", lambda: all(car["indicator"] == 0 for car in building.cars()))
    programs.start("watch", "watch", "--json", *group)
    watched = scratch / "watch.log"
    wait("elevator watch to show both nodes", lambda: watched.read_text().count('"alive": true') >= 2)
    step(f"elevator watch shows both nodes: {len(watched.read_text().splitlines()[-1])} bytes a line")

    calls = [Call(0, "up", 1), Call(0, "cab", 3), Call(1, "cab", 2)]
    for call in calls:
        building.ask("press", **call._asdict())
    wait("the lamps to light", lambda: building.lit() == {*calls, Call(1, "up", 1)})
    wait("the calls to be served", lambda: not building.lit() and building.opened() == {0, 1})
    step(f"a node on an I/O card, and one on a card's server: {len(calls)} calls lit their lamps and were served")


def try_doctor(programs: Programs) -> None:
    # Nothing listens on port 1, and no other node uses this network port.
    done, _ = programs.capture("doctor", "--port", "1", "--no-record", "--net-port", str(free_ports()[1]))
    found = [line.split()[0] for line in done.stdout.splitlines()]
    expect(done.returncode == 1 and not done.stderr, f"doctor: status {done.returncode}, {done.stderr}")
    expect(found[0] == "✗" and len(found) == 6, f"doctor printed {done.stdout}")
    step(f"doctor: {done.stdout.splitlines()[0]}")


def try_page(programs: Programs) -> None:
    port, _ = free_ports()
    programs.start("page", "sim", "--headless", "--port", 0, "--web", port)
    wait("the page's port to listen", lambda: answers(port))
    host = f"Host: 127.0.0.1:{port}"
    page = ask(port, "GET / HTTP/1.1", host)
    expect(page.startswith(b"HTTP/1.1 200 ") and page.rstrip().endswith(b"</html>"), f"the page is {page[:200]!r}")
    handshake = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    handshake += ["Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==", f"Origin: http://127.0.0.1:{port}"]
    live = ask(port, "GET /live HTTP/1.1", host, *handshake, until=b'"car0"')
    expect(live.startswith(b"HTTP/1.1 101 "), f"the page's WebSocket answered {live[:200]!r}")
    step(f"served a page of {len(page) / 1000:.0f} kB and its live data")


def ask(port: int, *lines: str, until: bytes = b"</html>") -> bytes:
    """Send an HTTP request. Return the answer once it contains *until* or the server ends the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        while until not in answer and (chunk := client.recv(65_536)):
            answer += chunk
    return answer


def try_terminal(command: list[str]) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], [*command, "sim", "--port", "0"])
    painted = bytearray()

    def shows(what: bytes) -> bool:
        if select.select([terminal], [], [], 0.1)[0]:
            with suppress(OSError):  # The program has closed the terminal.
                painted.extend(os.read(terminal, 65_536))
        return what in painted

    try:
        wait("a picture in the terminal", lambda: shows(b"elevator 0"))
        os.kill(pid, signal.SIGTERM)
        wait("the terminal to be restored", lambda: shows(b"\x1b[?1049l"))
    except Failed:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    expect(status == 0, f"SIGTERM ended the simulator in a terminal with status {status}")
    step("the simulator draws in a terminal and restores it")


def main(command: list[str]) -> int:
    if not command:
        print("usage: smoke.py COMMAND...", file=sys.stderr)
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="elevator-smoke-"))
    programs = Programs(command, scratch)
    try:
        commands = try_arguments(programs)
        try_locale(programs, scratch)
        try_doctor(programs)
        try_terminal(command)
        try_page(programs)
        try_assigner(programs)
        try_simulations(programs)
        try_card(programs, scratch)
        try_exam(programs, command)
        step(f"SIGTERM ended all programs in {programs.end():.1f} s, with status 0 and no process left behind")
        untried = sorted({*commands, ""} - programs.used)
        expect(not untried, f"this script does not run these commands: {', '.join(untried)}")
    except (Failed, OSError, ValueError, subprocess.TimeoutExpired) as failure:
        print(f"smoke: FAILED: {failure}", file=sys.stderr)
        for log in sorted(scratch.glob("*.log")):
            print(
                f"--- the last 2,000 characters of {log.name}:\n{log.read_text(errors='replace')[-2000:]}",
                file=sys.stderr,
            )
        return 1
    finally:
        kill(scratch.name)
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
