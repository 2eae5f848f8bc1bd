"""The architecture: which module may import which, and which of them may touch the world outside.

A new module gets a line in the table. If its line is hard to write, the module is in the wrong place.
"""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "elevator"


class Rule(NamedTuple):
    """What a module may import: modules of ours, and modules of WORLD."""

    ours: str = ""
    world: str = ""


ARCHITECTURE = {
    # Pure: values and time in, values out. The same code runs in the lab and under a simulated clock and network.
    "model": Rule(),
    "calls": Rule("model"),
    "motion": Rule("model"),
    "drive": Rule("model motion"),
    "peers": Rule("model"),
    "assign": Rule("model _assign"),
    "traffic": Rule("model"),
    "node": Rule("model calls drive peers assign traffic"),
    "turn": Rule("model node"),
    "wire": Rule("model"),
    "seal": Rule(),
    "condition": Rule(),
    "inbox": Rule(),
    "gate": Rule("model seal wire"),
    "config": Rule("model seal wire hardware.iocard", "os"),
    "journal": Rule("model condition drive node"),
    # The edge: where a node meets sockets, clocks and disks.
    "store": Rule("model condition wire", "fcntl os sqlite3 time"),
    "pair": Rule("condition", "fcntl os select signal socket termios time"),
    "scribe": Rule("model calls condition wire pair store", "os select signal socket time"),
    "hardware.server": Rule("model calls condition", "os socket"),
    "hardware.messages": Rule("model"),
    "hardware.iocard": Rule("model hardware.server"),
    "hardware.serialport": Rule("model condition hardware.iocard hardware.server", "fcntl os serial termios"),
    "loop": Rule(
        "model condition node turn wire seal gate inbox pair scribe journal config hardware.server hardware.serialport",
        "fcntl select signal socket time",
    ),
    # The simulated building. It knows nodes at most; no node knows it.
    "sim.shaft": Rule("model"),
    "sim.machine": Rule("model calls hardware.messages sim.shaft"),
    "sim.passengers": Rule("model calls sim.machine"),
    "sim.faults": Rule("model hardware.server sim.passengers"),
    "sim.attacker": Rule("model calls seal wire"),
    "sim.world": Rule(
        "model calls peers journal hardware.server node turn wire seal gate sim.attacker sim.machine sim.shaft"
        " sim.conduct sim.faults sim.health sim.oracle sim.passengers sim.promises"
    ),
    "sim.oracle": Rule("model calls node sim.machine sim.faults"),
    "sim.health": Rule("model node sim.machine sim.faults sim.oracle"),
    "sim.conduct": Rule("model calls hardware.server node sim.faults sim.machine sim.health sim.oracle"),
    "sim.promises": Rule("model calls node sim.conduct sim.faults sim.health sim.oracle"),
    "sim.view": Rule("model calls sim.machine sim.passengers sim.shaft"),
    "sim.server": Rule("model calls hardware.messages sim.machine sim.shaft", "selectors socket time"),
    "sim.lobby": Rule("sim.passengers sim.server sim.view"),
    "sim.network": Rule("model wire gate", "selectors socket"),
    "sim.iocard": Rule(
        "model calls hardware.iocard hardware.messages sim.machine sim.server", "fcntl os pty selectors termios tty"
    ),
    "sim.options": Rule("model hardware.iocard", "os"),
    "sim.terminal": Rule(
        "model calls screen sim.machine sim.options sim.server sim.shaft", "os rich select selectors signal termios"
    ),
    "screen": Rule("", "os signal termios"),
    "web": Rule("", "selectors socket time websockets"),
    # The commands: they put the rest together.
    "__main__": Rule(
        "command bench demo hall_request_assigner keygen serve_card soak sim.command watch",
        "os",
    ),
    "command": Rule("config hardware.iocard loop pair store doctor", "os signal"),
    "assign_server": Rule("", "os selectors signal socket"),
    "bench": Rule("_assign", "os"),
    "hall_request_assigner": Rule("_assign assign_server"),
    "watch": Rule(
        "model calls peers wire gate config web screen sim.options sim.server", "os rich selectors signal socket time"
    ),
    "keygen": Rule("seal sim.options", "os"),
    "doctor": Rule("model condition config gate loop store wire hardware.serialport", "os socket tempfile time"),
    "serve_card": Rule(
        "model calls condition pair hardware.iocard hardware.messages hardware.serialport hardware.server",
        "select signal socket time",
    ),
    "sim.command": Rule(
        "web sim.iocard sim.lobby sim.machine sim.options sim.passengers sim.server sim.shaft sim.terminal sim.view",
        "signal",
    ),
    "soak": Rule("sim.faults sim.oracle sim.world", "os select signal time"),
    "demo": Rule(
        "model web screen sim.lobby sim.machine sim.network sim.options sim.passengers sim.server sim.shaft sim.view",
        "os rich shutil signal socket subprocess tempfile time",
    ),
    "__init__": Rule(),
    "hardware.__init__": Rule(),
    "sim.__init__": Rule(),
}

WORLD = (
    "asyncio curses datetime fcntl http mmap multiprocessing os pty rich secrets select selectors serial shutil signal"
    " socket socketserver sqlite3 subprocess tempfile termios threading time tty urllib uuid websockets"
)
"""Modules through which a program waits, speaks, remembers, draws or asks what time it is."""

SAYS_NOTHING = {"base", "common", "data", "handler", "helper", "helpers", "manager", "misc", "tools", "util", "utils"}
"""Names for what has no name of its own."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


MODULES = {name_of(file): file for file in sorted(ROOT.rglob("*.py"))}


def imports(source: str) -> set[str]:
    """List what *source* imports anywhere in it; `from a import b` is both a and a.b, for b may be a module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(str(module), names, 0):
                found |= {module} | {f"{module}.{alias.name}" for alias in names}
            case ast.ImportFrom():
                raise AssertionError("relative imports hide where an arrow points to")
            case _:
                pass
    return found


def ours(imported: set[str]) -> set[str]:
    """Pick the modules of ours from *imported*. The packages themselves are not among them: they import nothing."""
    inner = {name.removeprefix("elevator.") for name in imported if name.startswith("elevator.")}
    return inner & (MODULES.keys() | {"_assign"})


def test_every_module_has_its_place() -> None:
    assert MODULES.keys() == ARCHITECTURE.keys()


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_one_way(module: str) -> None:
    assert ours(imports(MODULES[module].read_text())) <= set(ARCHITECTURE[module].ours.split())


@pytest.mark.parametrize("module", MODULES)
def test_the_world_is_touched_at_the_edge_only(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(MODULES[module].read_text())}
    assert outside & set(WORLD.split()) <= set(ARCHITECTURE[module].world.split())


def test_there_is_no_way_back() -> None:
    def below(module: str, path: tuple[str, ...] = ()) -> set[str]:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        direct = ARCHITECTURE[module].ours.split() if module in ARCHITECTURE else []
        return set(direct).union(*(below(each, (*path, module)) for each in direct))

    for module in ARCHITECTURE:
        below(module)
    assert not any(name.startswith("sim.") for name in below("loop"))


def test_names_say_something() -> None:
    words = {word for module in MODULES for word in module.lower().replace(".", "_").split("_")}
    assert not words & SAYS_NOTHING


def test_imports_are_found_wherever_they_are() -> None:
    source = "import os.path\ndef f():\n    from elevator.sim import server\n    from elevator.model import Car\n"
    assert ours(imports(source)) == {"sim.server", "model"}
    assert "os.path" in imports(source)
