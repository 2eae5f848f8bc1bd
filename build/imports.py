"""Find imports that fail in the bundle because it lacks the imported module.

The search starts at our package and at CODECS. It follows all imports except those in branches that this Python does
not take. It reports imports of modules that the bundle lacks, except

- imports in functions of libraries, which the program may never call; the functions of our package all count as called,
- imports in a `try` with a handler that catches the failure,
- imports in such a handler if all those in the `try` succeed, and in the `else` if one of those fails.

It does not see calls of importlib.import_module. build/smoke.py runs every command to find the failures that this
search misses.
"""

import ast
import os
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

OWN = "elevator"
CODECS = ["encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_8"]
"""Codecs that Python itself loads, for standard streams and host names. It also loads the codec of the user's locale:
see bootstrap.c. Other codecs load only if code names them."""
EXPECTED = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
BUILT_IN = {*sys.builtin_module_names, "os.path", "importlib._bootstrap", "importlib._bootstrap_external"}
"""Modules of the interpreter itself. os.path is an alias of posixpath."""


class Import(NamedTuple):
    name: str
    must_succeed: bool
    """True if the program may execute this import, and no handler catches its failure. Functions of our package count
    as called; those of libraries do not."""


class Bundle:
    """The modules of a bundle. *sources* maps each Python module to its file. *others* names those without source."""

    def __init__(self, sources: Mapping[str, Path], others: set[str]) -> None:
        self._sources = sources
        self._held = {*sources, *others, *BUILT_IN}

    def failing(self) -> set[str]:
        """Return the imports that would fail, each as `MODULE imports MODULE`; for a codec, `Python imports MODULE`."""
        found = {f"Python imports {name}" for name in CODECS if name not in self._held}
        seen: set[str] = set()
        to_read = [*CODECS, *(name for name in self._sources if name.partition(".")[0] == OWN)]
        while to_read:
            module = to_read.pop()
            if module in seen or module not in self._sources:
                continue
            seen.add(module)
            for each in self._imports(module):
                to_read.append("posixpath" if each.name == "os.path" else each.name)
                if each.must_succeed and each.name not in self._held:
                    found.add(f"{module} imports {each.name}")
        return found

    def _imports(self, module: str) -> Iterator[Import]:
        path = self._sources[module]
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        is_own = module.partition(".")[0] == OWN
        return self._walk(ast.parse(path.read_bytes()).body, package, is_own, executed=True)

    def _walk(self, body: Sequence[ast.stmt], package: list[str], own: bool, *, executed: bool) -> Iterator[Import]:
        """Yield the imports in *body*, which belongs to a module in *package*. *own* is true for our package.

        *executed* is true if loading the module, or calling a function of our package, may execute *body*.
        """
        for statement in body:
            match statement:
                case ast.Import() | ast.ImportFrom():
                    for name in self._names(statement, package):
                        yield Import(name, executed)
                case ast.If(test, yes, no):
                    for branch in possible_branches(test, yes, no):
                        yield from self._walk(branch, package, own, executed=executed)
                case ast.Try(tried, handlers, otherwise, finally_):
                    is_expected = any(map(expects_failure, handlers))
                    inner = list(self._walk(tried, package, own, executed=executed))
                    fails = is_expected and any(each.name not in self._held for each in inner)
                    yield from (each._replace(must_succeed=executed and not is_expected) for each in inner)
                    for handler in handlers:
                        rescues = executed and (fails or not expects_failure(handler))
                        yield from self._walk(handler.body, package, own, executed=rescues)
                    yield from self._walk(otherwise, package, own, executed=executed and not fails)
                    yield from self._walk(finally_, package, own, executed=executed)
                case ast.FunctionDef(body=inside) | ast.AsyncFunctionDef(body=inside):
                    yield from self._walk(inside, package, own, executed=executed and own)
                case ast.Match(cases=cases):
                    for case in cases:
                        yield from self._walk(case.body, package, own, executed=executed)
                case _:
                    for part in ("body", "orelse"):
                        yield from self._walk(getattr(statement, part, []), package, own, executed=executed)

    def _names(self, statement: ast.Import | ast.ImportFrom, package: list[str]) -> Iterator[str]:
        """Yield the modules that *statement* imports. Before each module, yield the packages that contain it."""
        if isinstance(statement, ast.Import):
            named = [alias.name for alias in statement.names]
        else:
            base = package[: len(package) - statement.level + 1] if statement.level else []
            named = [".".join([*base, *filter(None, [statement.module])])]
            inner = [f"{named[0]}.{alias.name}" for alias in statement.names]
            named += [name for name in inner if name in self._held or self._is_left_out(name)]
        for name in named:
            parts = name.split(".")
            yield from (".".join(parts[: k + 1]) for k in range(len(parts)))

    def _is_left_out(self, name: str) -> bool:
        """Return whether *name*, which the bundle lacks, is a module. If not, it is an attribute of its package."""
        package, _, last = name.rpartition(".")
        if package not in self._sources or self._sources[package].name != "__init__.py":
            return False
        folder = self._sources[package].parent
        is_source = (folder / f"{last}.py").is_file() or (folder / last / "__init__.py").is_file()
        return is_source or any(folder.glob(f"{last}.*.so"))


def possible_branches(test: ast.expr, yes: list[ast.stmt], no: list[ast.stmt]) -> list[list[ast.stmt]]:
    """Return the branches of an `if` that this Python may take."""
    known = {"sys": sys, "os": os, "typing": typing, "TYPE_CHECKING": False, "__name__": "", "__builtins__": {}}
    try:
        return [yes if eval(ast.unparse(test), known) else no]  # noqa: S307  # The code is part of the bundle.
    except Exception:  # noqa: BLE001  # The test uses names of its module.
        return [yes, no]


def expects_failure(handler: ast.ExceptHandler) -> bool:
    """Return whether *handler* catches a failed import."""
    if handler.type is None:
        return True
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return not EXPECTED.isdisjoint(map(ast.unparse, named))
