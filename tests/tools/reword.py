"""Changes the source of a function at run time, for mutants and regression tests."""

import inspect
import sys
from collections.abc import Callable

import pytest


def reword(patch: pytest.MonkeyPatch, function: Callable[..., object], old: str, new: str) -> None:
    """Replace *function* in all modules of elevator by a version with *new* instead of *old*, until *patch* is undone.

    *old* must occur once in the source of *function*, which must be at the top level of its module.
    """
    source = inspect.getsource(function)
    assert source.count(old) == 1, f"{function.__name__} contains {old!r} {source.count(old)} times"
    home = sys.modules[function.__module__]
    scope: dict[str, object] = {}
    exec(compile(source.replace(old, new), home.__file__ or "", "exec"), vars(home), scope)  # noqa: S102
    name = function.__name__
    for module in list(sys.modules.values()):
        if module.__name__.startswith("elevator") and getattr(module, name, None) is function:
            patch.setattr(module, name, scope[name])
