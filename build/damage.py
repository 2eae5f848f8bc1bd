"""Damage the unpacked files of dist/elevator and check that the next start repairs them.

    python build/damage.py dist/elevator [SEED]

The test flips one byte in each file, at an offset that depends on SEED (default: random). It also removes and replaces
files, folders and the symbolic link to the executable, and changes the permissions of files and folders. Several
instances that start at once must all work. A running node must be able to restart its processes after a repair. If the
disk is full, the program must run from another folder. If dist/elevator itself is damaged, it must say so.
"""

import fcntl
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from smoke import Failed, Programs, descendants, expect, free_ports, kill, step, wait

STARTS_AT_ONCE = 4
CACHE = "cache"

Tree = dict[str, tuple[int, bytes]]
"""The mode and content of each path in a folder, and of the folder itself, ".". The content of a link is its target;
paths other than files and links have no content."""


def read_tree(folder: Path) -> Tree:
    found = {}
    for path in [folder, *folder.rglob("*")]:
        mode = path.lstat().st_mode
        content = b""
        if stat.S_ISREG(mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(mode):
            content = bytes(path.readlink())
        found[str(path.relative_to(folder))] = (mode, content)
    return found


class Copy:
    """The unpacked copy of the program below *cache*, and its original contents."""

    def __init__(self, programs: Programs, cache: Path) -> None:
        self._programs = programs
        self.parent = cache / f"elevator-{os.geteuid()}"
        self._start()
        (self.folder,) = self.parent.iterdir()
        self.tree = read_tree(self.folder)
        self.files = sorted(name for name, (mode, _) in self.tree.items() if stat.S_ISREG(mode))
        self.folders = sorted(name for name, (mode, _) in self.tree.items() if stat.S_ISDIR(mode) and name != ".")

    def _start(self) -> None:
        done, _ = self._programs.capture("--version")
        printed = done.stdout + done.stderr
        expect(done.returncode == 0 and done.stdout.startswith("elevator "), f"--version printed {printed!r}")

    def check(self, damage: str) -> None:
        """Start the program and check that it repairs the copy. *damage* describes the damage in a failure message."""
        try:
            self._start()
        except Failed as failure:
            raise Failed(f"{damage}: {failure}") from None
        self.compare(damage)

    def compare(self, damage: str) -> None:
        found = read_tree(self.folder)
        wrong = sorted(name for name in {*found, *self.tree} if found.get(name) != self.tree.get(name))
        expect(not wrong, f"{damage}: still damaged: {', '.join(wrong)}")
        expect(list(self.parent.iterdir()) == [self.folder], f"{damage}: leftover files in {self.parent}")

    def flip(self, name: str, at: int) -> None:
        """Replace file *name* by a copy with byte *at* flipped. Running programs keep the intact file open."""
        content = bytearray(self.tree[name][1])
        content[at] ^= 0xFF
        damaged = self.parent.with_name("damaged")
        damaged.write_bytes(content)
        damaged.chmod(0o700)
        damaged.rename(self.folder / name)


def try_bytes(copy: Copy, random_: random.Random) -> None:
    for name in copy.files:
        at = random_.randrange(len(copy.tree[name][1]))
        copy.flip(name, at)
        copy.check(f"byte {at} of {name} flipped")
    step(f"repaired a flipped byte in each of {len(copy.files)} files")


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def replace_by_folder(path: Path) -> None:
    remove(path)
    (path / "full").mkdir(parents=True)


def replace_by_file(path: Path) -> None:
    remove(path)
    path.write_text("not it")


def replace_by_pipe(path: Path) -> None:
    remove(path)
    os.mkfifo(path, 0o700)


def replace_by_link(path: Path) -> None:
    """Move *path* out of the copy and replace it by a link to its new place."""
    elsewhere = next(parent for parent in path.parents if parent.name == CACHE) / "elsewhere"
    with suppress(FileNotFoundError):
        remove(elsewhere)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def replace_by_loose_link(path: Path) -> None:
    remove(path)
    path.symlink_to("nothing")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "removed": remove,
    "replaced by a folder": replace_by_folder,
    "replaced by a file": replace_by_file,
    "replaced by a pipe": replace_by_pipe,
    "moved elsewhere and replaced by a link": replace_by_link,
    "replaced by a link to nothing": replace_by_loose_link,
}
MODES = {"not readable": 0o300, "not executable": 0o600, "not accessible": 0, "writable by others": 0o702}


def try_damages(copy: Copy) -> None:
    count = 0
    library = next(name for name in copy.files if name.endswith(".so"))
    for name in ["elevator.bin", library, "elevator/ui/page.html", "bin/elevator", "elevator", "bin", "."]:
        path = copy.folder / name
        for damage, inflict in DAMAGES.items():
            if inflict is replace_by_folder and path.is_dir():
                continue
            inflict(path)
            copy.check(f"{name} {damage}")
            count += 1
        for damage, mode in MODES.items():
            if not path.is_symlink():
                path.chmod(mode)
                copy.check(f"{name} {damage}")
                count += 1
    (copy.folder / "elevator.bin").write_bytes(b"")
    copy.check("elevator.bin truncated to 0 bytes")
    (copy.folder / "bin" / "elevator").unlink()
    (copy.folder / "bin" / "elevator").symlink_to(f"../{library}")
    copy.check("the link to the executable points to a library")
    step(f"repaired {count + 2} other kinds of damage")


def try_many_starts(copy: Copy, programs: Programs, random_: random.Random) -> None:
    for damage in ("files", "a folder", "all"):
        if damage == "files":
            for name in copy.files:
                copy.flip(name, random_.randrange(len(copy.tree[name][1])))
        else:
            remove(copy.folder / "elevator" if damage == "a folder" else copy.folder)
        names = [f"start-{damage}-{k}" for k in range(STARTS_AT_ONCE)]
        for name in names:
            programs.start(name, "--version")
        for name in names:
            status = programs.running.pop(name).wait()
            expect(status == 0, f"one of {STARTS_AT_ONCE} starts ended with status {status}: {damage} damaged")
        copy.compare(f"{damage} damaged, {STARTS_AT_ONCE} starts")
    step(f"{STARTS_AT_ONCE} concurrent starts repaired the copy")
    lock = os.open(copy.parent, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    copy.flip("elevator.bin", 0)
    copy.check("the lock held by another process")
    os.close(lock)
    step("repaired the copy while another process held the lock")


def parent(pid: int) -> int:
    """Return the process id of the parent of *pid*, or 0 if there is no process *pid*."""
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def try_running_node(copy: Copy, programs: Programs, scratch: Path) -> None:
    port, net_port = free_ports()
    group = ["--net-port", net_port, "--broadcast", "127.255.255.255", "--group", f"damage-{os.getpid()}"]
    programs.start("node", "--id", 0, "--port", port, *group, "--state-dir", scratch / "record")

    def processes() -> dict[str, int]:
        pids = descendants(programs.mark("node"))
        names = {}
        for pid in pids:
            with suppress(OSError):
                names[(Path("/proc") / str(pid) / "comm").read_text().strip()] = pid
        # A recorder may outlive its worker for a moment.
        is_settled = len(pids) == len(names) == 3 and parent(names.get("elevator:disk", 0)) == names.get(
            "elevator:worker"
        )
        return names if is_settled else {}

    wait("the node to run", lambda: len(processes()) == 3)
    for damage in ("files", "the folder"):
        if damage == "files":
            for name in copy.files:
                copy.flip(name, 0)
        else:
            copy.folder.chmod(0o707)
        copy.check(f"{damage} damaged under a running node")
        for name in ("elevator:pair", "elevator:worker", "elevator:disk"):
            before = processes()
            os.kill(before[name], signal.SIGKILL)
            if name == "elevator:pair" and before[name] == programs.running["node"].pid:
                programs.running["node"].wait()
            what = f"{name} to be replaced after a repair of {damage}"
            wait(what, lambda: processes().get(name, before[name]) != before[name])  # noqa: B023  # `wait` calls it at once.
    programs.running.pop("node")
    kill(programs.mark("node"))
    step("a running node restarted its supervisor, worker and recorder after a repair")


def try_damaged_binary(binary: Path, scratch: Path) -> None:
    content = bytearray(binary.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = scratch / "damaged-binary"
    damaged.write_bytes(content)
    damaged.chmod(0o700)
    environment = os.environ | {"XDG_CACHE_HOME": str(scratch / "other")}
    done = subprocess.run([damaged, "--version"], env=environment, capture_output=True, text=True, check=False)
    expect(
        done.returncode == 1 and done.stderr == "elevator: this file is damaged: copy it again\n",
        f"a damaged binary ended with status {done.returncode} and printed {done.stderr!r}",
    )
    step(f"a damaged binary printed {done.stderr.strip()!r}")


FULL_DISK = """
set -e
mount -t tmpfs -o size="$1" tmpfs "$2"
XDG_CACHE_HOME="$2" TMPDIR="$3" "$4" --version
printf x | dd of="$(echo "$2"/elevator-*/*/elevator.bin)" conv=notrunc 2>/dev/null
XDG_CACHE_HOME="$2" TMPDIR="$3" "$4" --version
ls "$2"/elevator-*
"""
"""A shell script for a separate mount namespace. Its arguments are the size of a disk in bytes, the disk's mount point,
TMPDIR and the program. It starts the program with its cache on this disk and damages the unpacked copy. Then it starts
the program again. A repair needs more room than the disk has, so the program must unpack itself into TMPDIR."""


def try_full_disk(copy: Copy, binary: Path, scratch: Path) -> None:
    size = sum(len(content) for _, content in copy.tree.values())
    small, large = scratch / "small", scratch / "large"
    small.mkdir()
    large.mkdir()
    isolated = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*isolated, "mount", "-t", "tmpfs", "tmpfs", small], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        step("skipped the test of a full disk: this machine does not allow mounts")
        return
    arguments = [str(size * 3 // 2), str(small), str(large), str(binary)]
    script = [*isolated, "sh", "-c", FULL_DISK, "sh", *arguments]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    started = done.returncode == 0 and done.stdout.count("elevator ") == 2 and "new-" not in done.stdout
    expect(started, f"a repair on a full disk: {done.stdout + done.stderr!r}")
    expect(
        len(list(large.glob("elevator-*/*/elevator.bin"))) == 1,
        "with a full disk, the program was not unpacked elsewhere",
    )
    step("with a full disk, the program ran from another folder")


def main(arguments: list[str]) -> int:
    if not arguments:
        print("usage: damage.py BINARY [SEED]", file=sys.stderr)
        return 2
    binary = Path(arguments[0]).resolve()
    seed = int(arguments[1]) if len(arguments) > 1 else random.randrange(1 << 32)
    step(f"seed {seed}")
    scratch = Path(tempfile.mkdtemp(prefix="elevator-damage-"))
    programs = Programs([str(binary)], scratch)
    try:
        copy = Copy(programs, scratch / CACHE)
        try_bytes(copy, random.Random(seed))
        try_damages(copy)
        try_many_starts(copy, programs, random.Random(seed))
        try_running_node(copy, programs, scratch)
        try_full_disk(copy, binary, scratch)
        try_damaged_binary(binary, scratch)
    except (Failed, OSError, subprocess.TimeoutExpired) as failure:
        print(f"damage: FAILED with seed {seed}: {failure}", file=sys.stderr)
        return 1
    finally:
        kill(scratch.name)
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
