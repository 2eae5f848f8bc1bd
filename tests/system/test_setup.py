"""Setup on a new machine and after an interrupted installation: build/python.sh, build/just and build/venv.sh.

The scripts run with a fake compiler and a fake Python, and in one test with a fake uname. No test needs the network.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab import PATIENCE_S

ROOT = Path(__file__).parents[2]
TOOLS = shlex.split("cat chmod cksum cp dirname env flock ls mkdir mktemp mv rm sed sh sleep sync touch uname")
JUST_VERSION = "1.2.3"

# Defects of a fake Python. It runs one of these lines before the code that it gets from the script.
OLD = "import sys; sys.version_info = (3, 9, 2)"
NO_VENV = "import sys; sys.modules['ensurepip'] = None"
NO_HEADERS = "import sysconfig; sysconfig.get_path = lambda name: '/nowhere'"

# A fake Python that makes environments, installs the files that the tests expect, and logs each call.
INSTALLER = """\
#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
    -c*) exec {python} "$@" ;;
    -V | --version) echo "Python ${{VERSION:-3.11.2}}" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"install"*)
        if [ -n "${{BREAKS:-}}" ]; then echo "no network" >&2; exit 1; fi
        if [ -n "${{HANGS:-}}" ]; then
            touch "$LOG.hangs"
            while [ ! -e "$LOG.go" ]; do sleep 0.02; done
        fi
        case $0 in
            *just-*)
                just=${{0%python}}just
                printf '#!/bin/sh\\n[ "$1" = --version ] && echo "just {version}" || echo "ran $*"\\n' >"$just"
                chmod +x "$just" ;;
            *) touch elevator/_assign.abi.so elevator/_bench.abi.so elevator/_namespace.abi.so ;;
        esac ;;
esac
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a folder of real and fake programs. With this folder as PATH, all prerequisites are met."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    fake(programs / "cc", "exit 0")
    python(programs / "python3", "")
    return programs


def fake(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def python(path: Path, preamble: str) -> None:
    code = f"{preamble}\nimport sys\nexec(sys.argv[1])"
    fake(path, f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$2"')


def ask(programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "build" / "python.sh"], env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )


def test_script_prints_the_name_of_a_python_with_all_prerequisites(bare: Path) -> None:
    done = ask(bare)
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3\n", "")


def test_usable_python_is_found_among_unusable_ones(bare: Path) -> None:
    python(bare / "python3", OLD)
    fake(bare / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    python(bare / "python3.12", NO_HEADERS)
    python(bare / "python3.11", "")
    assert ask(bare).stdout == "python3.11\n"


MINE = f"{sys.version_info.major}.{sys.version_info.minor}"
MISSING = {
    "Linux": ("Linux", "this is Darwin"),
    "python3": ("Python 3.11 or newer", "apt install python3 python3-venv python3-dev"),
    "broken python3": ("Python 3.11 or newer", "apt install python3 python3-venv python3-dev"),
    "new python3": ("Python 3.11 or newer", "python3 is 3.9"),
    "venv": ("Python's venv", f"apt install python{MINE}-venv"),
    "headers": ("Python's C headers", f"apt install python{MINE}-dev"),
    "compiler": ("a C compiler", "apt install gcc libc6-dev"),
    "working compiler": ("a C compiler", "apt install gcc libc6-dev"),
}


def remove(programs: Path, what: str) -> None:
    match what:
        case "Linux":
            fake(programs / "uname", "echo Darwin")
        case "python3":
            (programs / "python3").unlink()
        case "broken python3":
            fake(programs / "python3", "exit 127")
        case "new python3":
            python(programs / "python3", OLD)
        case "venv":
            python(programs / "python3", NO_VENV)
        case "headers":
            python(programs / "python3", NO_HEADERS)
        case "compiler":
            (programs / "cc").unlink()
        case _:
            fake(programs / "cc", "exit 1")


@pytest.mark.parametrize("what", MISSING)
def test_missing_prerequisite_prints_one_line_with_advice(bare: Path, what: str) -> None:
    remove(bare, what)
    done = ask(bare)
    (line,) = done.stderr.splitlines()
    need, advice = MISSING[what]
    assert line.startswith(f"elevator needs {need}")
    assert advice in line
    assert (done.returncode, done.stdout) == (1, "")


def test_all_missing_prerequisites_are_reported_at_once(bare: Path) -> None:
    python(bare / "python3", f"{NO_VENV}; {NO_HEADERS}")
    remove(bare, "compiler")
    lines = ask(bare).stderr.splitlines()
    assert [line.split(" (")[0].split(":")[0] for line in lines] == [
        "elevator needs Python's venv and ensurepip",
        "elevator needs Python's C headers",
        "elevator needs a C compiler with headers",
    ]


class Checkout:
    """The setup scripts, in a folder with a space in its name.

    PATH leads only to basic tools, a fake compiler and a fake Python.
    """

    def __init__(self, programs: Path) -> None:
        self.root = programs.parent / "my checkout"
        self.log = programs.parent / "log"
        self._programs = programs
        (programs / "python3").unlink()
        (programs / "python3").write_text(INSTALLER.format(python=shlex.quote(sys.executable), version=JUST_VERSION))
        (programs / "python3").chmod(0o755)
        for folder in ("build", "native", "elevator"):
            (self.root / folder).mkdir(parents=True)
        for script in ("python.sh", "venv.sh", "just"):
            shutil.copy(ROOT / "build" / script, self.root / "build")
        (self.root / "build" / "just.lock").write_text(f"rust-just=={JUST_VERSION} \\\n    --hash=sha256:0\n")
        (self.root / "build" / "dev.lock").write_text("attrs==1\n")
        (self.root / "build" / "runtime.lock").write_text("")
        (self.root / "native" / "assign.c").write_text("")
        (self.root / "pyproject.toml").write_text("")
        (self.root / "justfile").write_text("")

    def start(self, script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "build" / script, *arguments],
            env={"PATH": str(self._programs), "LOG": str(self.log), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run a script, after clearing the log of the fake Python.

        Return its exit status, and the last line of standard output or, if that is empty, of standard error.
        """
        self.log.write_text("")
        with self.start(script, *arguments, **variables) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, [*err.splitlines(), *out.splitlines(), ""][-2 if out or err else -1]

    def start_and_hang(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script and wait until its installation hangs. A file log.go lets it continue (see INSTALLER)."""
        hangs = self.log.with_name("log.hangs")
        process = self.start(script, *arguments, HANGS="yes")
        end = time.monotonic() + PATIENCE_S
        while not hangs.exists():
            assert time.monotonic() < end, "the installation did not begin"
            time.sleep(0.01)
        return process

    def interrupt(self, script: str, number: signal.Signals, *arguments: str) -> None:
        """Start a script. During its installation, send a signal to the script and its children."""
        with self.start_and_hang(script, *arguments) as process:
            os.killpg(process.pid, number)

    def environments_made(self) -> int:
        return self.log.read_text().count("-m venv")

    def installs(self) -> int:
        return self.log.read_text().count(" install ")


@pytest.fixture
def checkout(bare: Path) -> Checkout:
    return Checkout(bare)


def test_just_receives_the_arguments(checkout: Checkout) -> None:
    status, output = checkout.run("just", "demo", "two words")
    assert status == 0
    assert output.endswith("/my checkout/justfile demo two words")


def test_just_is_installed_only_once(checkout: Checkout) -> None:
    checkout.run("just", "demo")
    assert checkout.installs() == 1
    checkout.run("just", "demo")
    assert checkout.installs() == 0
    assert [path.name for path in (checkout.root / ".cache").iterdir()] == ["bin"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_installation_of_just_is_repeated(checkout: Checkout, number: signal.Signals) -> None:
    checkout.interrupt("just", number, "demo")
    assert not (checkout.root / ".cache" / "bin" / "just").exists()
    assert checkout.run("just", "demo")[0] == 0


@pytest.mark.parametrize("damage", ["empty", "other version", "folder"])
def test_damaged_or_outdated_just_is_replaced(checkout: Checkout, damage: str) -> None:
    just = checkout.root / ".cache" / "bin" / "just"
    just.parent.mkdir(parents=True)
    if damage == "folder":
        just.mkdir()
    else:
        fake(just, "echo just 1.0.0" if damage == "other version" else "")
    status, output = checkout.run("just", "demo")
    assert status == 0
    assert output.startswith("ran ")


def test_failed_installation_of_just_leaves_no_files_behind(checkout: Checkout) -> None:
    status, output = checkout.run("just", "demo", BREAKS="yes")
    assert (status, output) == (1, "no network")
    assert list((checkout.root / ".cache").rglob("*")) == [checkout.root / ".cache" / "bin"]


def test_just_reports_missing_prerequisites_before_it_installs_anything(checkout: Checkout) -> None:
    remove(checkout._programs, "compiler")
    status, output = checkout.run("just", "demo")
    assert status == 1
    assert output.startswith("elevator needs a C compiler")
    assert checkout.installs() == 0


def test_environment_is_created_once_and_each_lock_file_is_installed_once(checkout: Checkout) -> None:
    assert checkout.run("venv.sh", "dev")[0] == 0
    assert (checkout.environments_made(), checkout.installs()) == (1, 2)
    assert checkout.run("venv.sh", "dev") == (0, "")
    assert (checkout.environments_made(), checkout.installs()) == (0, 0)
    assert checkout.run("venv.sh", "runtime")[0] == 0
    assert (checkout.environments_made(), checkout.installs()) == (0, 2)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_installation_is_repeated_in_a_new_environment(
    checkout: Checkout, number: signal.Signals, is_first: bool
) -> None:
    if not is_first:
        checkout.run("venv.sh", "dev")
        (checkout.root / "build" / "dev.lock").write_text("attrs==2\n")
    checkout.interrupt("venv.sh", number, "dev")
    assert checkout.run("venv.sh", "dev")[0] == 0
    assert (checkout.environments_made(), checkout.installs()) == (1, 2)
    checkout.run("venv.sh", "dev")
    assert (checkout.environments_made(), checkout.installs()) == (0, 0)


CHANGES = {
    # A change to a finished environment, and how many environments venv.sh then creates.
    "lock file": 0,
    "C source": 0,
    "extension deleted": 0,
    "extension of the benchmark deleted": 0,
    "Python upgraded": 1,
    "Python deleted": 1,
    "environment replaced by a file": 1,
    "checkout moved": 1,
}


@pytest.mark.parametrize("change", CHANGES)
def test_outdated_or_damaged_environment_is_repaired(checkout: Checkout, change: str) -> None:
    checkout.run("venv.sh", "dev")
    variables = {}
    match change:
        case "lock file":
            (checkout.root / "build" / "dev.lock").write_text("attrs==2\n")
        case "C source":
            (checkout.root / "native" / "assign.c").write_text("int x;\n")
        case "extension deleted":
            (checkout.root / "elevator" / "_assign.abi.so").unlink()
        case "extension of the benchmark deleted":
            (checkout.root / "elevator" / "_bench.abi.so").unlink()
        case "Python upgraded":
            variables = {"VERSION": "3.13.5"}
        case "Python deleted":
            (checkout.root / ".cache" / "venv" / "bin" / "python").unlink()
        case "environment replaced by a file":
            shutil.rmtree(checkout.root / ".cache" / "venv")
            (checkout.root / ".cache" / "venv").write_text("")
        case _:
            checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.run("venv.sh", "dev", **variables)[0] == 0
    assert (checkout.environments_made(), checkout.installs()) == (CHANGES[change], 2)
    checkout.run("venv.sh", "dev", **variables)
    assert (checkout.environments_made(), checkout.installs()) == (0, 0)


def test_concurrent_recipes_install_only_once(checkout: Checkout) -> None:
    with checkout.start_and_hang("venv.sh", "dev") as first, checkout.start("venv.sh", "dev") as second:
        assert second.stderr is not None
        assert second.stderr.readline() == "waiting for another recipe to install its packages\n"
        checkout.log.with_name("log.go").touch()
        first.communicate(timeout=PATIENCE_S)
        second.communicate(timeout=PATIENCE_S)
    assert (first.returncode, second.returncode) == (0, 0)
    assert (checkout.environments_made(), checkout.installs()) == (1, 2)


def test_ci_runs_each_build_just_command_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^    (build/just \w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[:2] == ["build/just demo", "build/just test"]
    for command in commands:
        assert re.search(rf"^{command}( --for 10)?( #.*)?$", ci, re.MULTILINE), f"CI does not run {command}"
