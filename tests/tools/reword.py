"""Mutation of a function's source, for tests of the tests."""

import inspect
import sys
from collections.abc import Callable

import pytest


def reword(patch: pytest.MonkeyPatch, function: Callable[..., object], old: str, new: str) -> None:
    """Replace the only *old* in the source of *function* by *new*, in every module that uses the function."""
    source = inspect.getsource(function)
    assert source.count(old) == 1, f"{function.__name__} has {source.count(old)} times {old!r}"
    there = sys.modules[function.__module__]
    scope: dict[str, object] = {}
    exec(compile(source.replace(old, new), there.__file__ or "", "exec"), vars(there), scope)  # noqa: S102
    name = function.__name__
    for module in list(sys.modules.values()):
        if module.__name__.startswith("elevator") and getattr(module, name, None) is function:
            patch.setattr(module, name, scope[name])
