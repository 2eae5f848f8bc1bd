"""The packed binary looks for simulator.con in the working directory, and then beside itself.

However it is started, it does not look in its cache of unpacked files.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parents[2] / "build" / "bundle.py"
SCRIPT = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -c '
from elevator.cli.simulator_options import options
arguments, ignored = options([])
print(arguments.port, *ignored)'
"""


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a binary packed by build/bundle.py, with SCRIPT as its program."""
    scratch = tmp_path_factory.mktemp("bundle")
    spec = importlib.util.spec_from_file_location("bundle", BUNDLE)
    assert spec is not None
    assert spec.loader is not None
    bundle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bundle)
    folder, packed = scratch / "elevator.dist", scratch / "installed" / "elevator"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "SCRATCH", scratch)
        patch.setattr(bundle, "FOLDER", folder)
        patch.setattr(bundle, "BINARY", packed)
        folder.mkdir()
        (folder / "elevator.bin").write_text(SCRIPT)
        bundle.pack()
    return packed


def test_binary_finds_simulator_con_in_the_working_directory_or_beside_itself(binary: Path, tmp_path: Path) -> None:
    (binary.parent / "simulator.con").write_text("--port 15000")
    link = tmp_path / "links" / "sim"
    link.parent.mkdir()
    link.symlink_to(binary)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "ELEVATOR_FILE": "/of/another/program"}
    environment["PATH"] = f"{binary.parent}{os.pathsep}{environment['PATH']}"

    def output_of(command: list[str], directory: Path) -> str:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.strip()

    assert output_of([str(binary)], elsewhere) == "15000"
    assert output_of(["elevator"], elsewhere) == "15000"
    assert output_of([str(link)], elsewhere) == "15000"
    assert output_of([os.path.relpath(binary, elsewhere)], elsewhere) == "15000"
    assert output_of(["./elevator"], binary.parent) == "15000"
    (elsewhere / "simulator.con").write_text("--port 15001")
    assert output_of([str(link)], elsewhere) == "15001"
