"""Settings for all tests.

- Hypothesis has no deadline, because the machine may be busy. By default it tries only 50 examples, because each run
  draws new ones.
- With --dist=loadgroup, the tests of a file that imports `lab` or `demo` from lab.py run in one xdist process, one
  after the other. More concurrent labs would slow each other down and could choose the same ports.
- Tests in system/ without the mark "quick" get the mark "slow".
- Tests in world/ come first, but xdist starts the files with labs even earlier. Some tests in world/ take long, and
  would leave all cores but one idle if they began last.
- SIGINT has its default effect. A shell starts background programs with SIGINT ignored, which child processes would
  inherit.
"""

import gc
import signal
from pathlib import Path

import lab
import pytest
from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)

SYSTEM = Path(__file__).with_name("system")

settings.register_profile("elevator", deadline=None, max_examples=50)
settings.load_profile("elevator")


def pytest_collection_finish() -> None:
    """Exempt the modules and the collected tests from garbage collection, because they live until the end."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # Run before pytest applies -m.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = vars(item.module).values() if isinstance(item, pytest.Function) else ()
        if any(value is lab.lab or value is lab.demo for value in names):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        if item.path.parent == SYSTEM and item.get_closest_marker("quick") is None:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.parent.name != "world")
