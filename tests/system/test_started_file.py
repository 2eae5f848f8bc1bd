"""The binary looks beside the file that the user started, and not in the cache that it unpacks itself into."""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parents[2] / "build" / "bundle.py"
IN_PLACE_OF_THE_PROGRAM = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -c '
from elevator.cli.simulator_options import options
arguments, ignored = options([])
print(arguments.port, *ignored)'
"""


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a binary as build/bundle.py packs it, with a script in the place of the compiled program."""
    scratch = tmp_path_factory.mktemp("bundle")
    spec = importlib.util.spec_from_file_location("bundle", BUNDLE)
    assert spec is not None
    assert spec.loader is not None
    bundle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bundle)
    folder, made = scratch / "elevator.dist", scratch / "installed" / "elevator"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "SCRATCH", scratch)
        patch.setattr(bundle, "FOLDER", folder)
        patch.setattr(bundle, "BINARY", made)
        folder.mkdir()
        (folder / "elevator.bin").write_text(IN_PLACE_OF_THE_PROGRAM)
        bundle.pack()
    return made


def test_simulator_con_is_found_beside_the_binary_however_it_is_started(binary: Path, tmp_path: Path) -> None:
    (binary.parent / "simulator.con").write_text("--port 15000")
    link = tmp_path / "links" / "sim"
    link.parent.mkdir()
    link.symlink_to(binary)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "ELEVATOR_FILE": "/of/another/program"}
    environment["PATH"] = f"{binary.parent}{os.pathsep}{environment['PATH']}"

    def says(command: list[str], directory: Path) -> str:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.strip()

    assert says([str(binary)], elsewhere) == "15000"
    assert says(["elevator"], elsewhere) == "15000"
    assert says([str(link)], elsewhere) == "15000"
    assert says([os.path.relpath(binary, elsewhere)], elsewhere) == "15000"
    assert says(["./elevator"], binary.parent) == "15000"
    (elsewhere / "simulator.con").write_text("--port 15001")
    assert says([str(link)], elsewhere) == "15001"
