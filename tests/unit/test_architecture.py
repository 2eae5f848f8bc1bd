"""The architecture: which packages each package may import, and which modules may use the operating system.

A new package needs a row in PACKAGES. A module outside cli that uses the operating system needs a row in OUTSIDE. If
you cannot justify a row, the code belongs elsewhere.
"""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "elevator"

PACKAGES = {
    "core": "",
    "net": "core",
    "processes": "core",
    "storage": "core net processes",
    "hardware": "core",
    "runtime": "core net processes storage hardware",
    "ui": "",
    "building": "core net hardware ui",
    "simulation": "core net storage hardware runtime building",
    "exam": "core building",
    "cli": "core net processes storage hardware runtime ui building simulation exam",
}
"""The packages that each package may import. All of them are above it in this table."""

OUTSIDE = {
    "__main__": "os",
    "net.broadcast": "fcntl socket time",
    "processes.child": "os signal socket",
    "processes.worker_link": "os signal socket",
    "processes.pair": "fcntl os select signal socket termios time",
    "storage.store": "fcntl os sqlite3 time",
    "storage.recorder": "os select signal socket time",
    "hardware.elevator_server": "os socket",
    "hardware.card_port": "fcntl os serial termios",
    "runtime.config": "os",
    "runtime.log_handler": "select",
    "runtime.loop": "signal select socket time",
    "ui.screen": "os signal termios",
    "ui.web": "selectors socket time websockets",
    "building.building": "selectors socket time",
    "building.control_socket": "selectors socket",
    "building.card_line": "fcntl os pty selectors termios tty",
    "building.network": "selectors socket",
    "building.terminal": "os rich select selectors signal termios",
    "building.terminal_picture": "rich",
    "simulation.campaign": "os select signal",
    "exam.controllers": "os shutil signal subprocess time",
    "exam.examiner": "tempfile",
    "exam.setup": "shutil tempfile time",
    "exam.tests_group": "os",
    "exam.netlink": "os socket time",
    "exam.sandbox": "os socket",
    "exam.frames": "socket",
    "exam.switch": "selectors socket",
}
"""The modules that use the operating system, with their imports from OS_MODULES. The package cli is exempt."""

OS_MODULES = (
    "asyncio curses datetime fcntl http mmap multiprocessing os pty rich secrets select selectors serial shutil signal"
    " socket socketserver sqlite3 subprocess tempfile termios threading time tty urllib uuid websockets"
)

VAGUE = {"base", "common", "data", "handlers", "helper", "helpers", "manager", "misc", "tools", "util", "utils"}
"""Words that module names must not contain, because they state no purpose."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


SOURCES = {name_of(file): file.read_text() for file in sorted(ROOT.rglob("*.py"))}
MODULES = [name for name in SOURCES if not name.endswith("__init__")]


def package_of(module: str) -> str:
    return module.partition(".")[0]


def imports(source: str) -> set[str]:
    """Return every module that *source* may import. `from a import b` counts as a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(str(module), names, 0):
                found |= {module} | {f"{module}.{alias.name}" for alias in names}
            case ast.ImportFrom():
                raise AssertionError("use an absolute import: a relative one hides the package that it imports from")
            case _:
                pass
    return found


def modules_imported(source: str) -> set[str]:
    inner = {name.removeprefix("elevator.") for name in imports(source) if name.startswith("elevator.")}
    return inner & SOURCES.keys()


def test_package_table_lists_every_package() -> None:
    assert {package_of(module) for module in MODULES} - {"__init__", "__main__"} == PACKAGES.keys()


def test_package_table_is_in_layer_order() -> None:
    above: set[str] = set()
    for package, allowed in PACKAGES.items():
        assert set(allowed.split()) <= above, package
        above.add(package)


@pytest.mark.parametrize("module", [module for module in MODULES if package_of(module) in PACKAGES])
def test_module_imports_only_from_packages_that_the_table_allows(module: str) -> None:
    package = package_of(module)
    allowed = {package, *PACKAGES[package].split()}
    assert {package_of(each) for each in modules_imported(SOURCES[module])} <= allowed


def test_imports_have_no_cycle() -> None:
    arrows = {module: modules_imported(SOURCES[module]) for module in MODULES}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a cycle: {' -> '.join((*path, module))}"
        if module not in done:
            for each in arrows.get(module, ()):
                visit(each, (*path, module))
            done.add(module)

    done: set[str] = set()
    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", MODULES)
def test_modules_outside_cli_use_the_operating_system_exactly_as_listed(module: str) -> None:
    used = {name.split(".")[0] for name in imports(SOURCES[module])} & set(OS_MODULES.split())
    if package_of(module) != "cli":
        assert used == set(OUTSIDE.get(module, "").split())


def test_only_the_simulated_group_imports_the_bench_extension() -> None:
    assert [module for module in MODULES if "elevator._bench" in imports(SOURCES[module])] == ["cli.simulated_group"]


def test_names_of_modules_and_classes_are_unique() -> None:
    modules = Counter(module.rpartition(".")[2] for module in MODULES)
    classes = Counter(
        node.name for module in MODULES for node in ast.parse(SOURCES[module]).body if isinstance(node, ast.ClassDef)
    )
    assert [name for names in (modules, classes) for name, times in names.items() if times > 1] == []


def test_module_names_are_not_vague() -> None:
    words = {word for module in MODULES for word in module.lower().replace(".", "_").split("_")}
    assert not words & VAGUE


def test_each_package_has_an_introduction() -> None:
    for package in PACKAGES:
        assert ast.get_docstring(ast.parse(SOURCES[f"{package}.__init__"])), package


def test_imports_inside_functions_are_found() -> None:
    source = "import os.path\ndef f():\n    from elevator.core import node\n    from elevator.net.wire import decode\n"
    assert modules_imported(source) == {"core.node", "net.wire"}
    assert "os.path" in imports(source)
