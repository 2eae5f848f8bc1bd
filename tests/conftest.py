"""What all tests share.

hypothesis asserts no timing, because machines that run tests are busy with others' as well. And where tests run on all
cores, those with whole programs (lab.py) take turns in one process: two labs at once, of a dozen processes each, would
slow each other down, and might draw the same ports.
"""

import lab
import pytest
from hypothesis import settings

settings.register_profile("elevator", deadline=None)
settings.load_profile("elevator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = vars(item.module).values() if isinstance(item, pytest.Function) else ()
        if any(value is lab.lab or value is lab.demo for value in names):
            item.add_marker(pytest.mark.xdist_group("lab"))
