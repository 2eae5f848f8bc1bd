"""build/imports.py reports missing modules that the binary would import."""

from pathlib import Path

import pytest
from imports import CODECS, Bundle

GUARDED = "try:\n    import absent\nexcept {}:\n    pass\n"
FAILING = {
    # The source of a library, and whether its import of `absent` would fail.
    "import absent": True,
    "import absent.inner as other": True,
    "from absent import thing": True,
    "from . import absent": True,
    "from .absent import thing": True,
    "from library import absent": True,
    "class A:\n    import absent": True,
    "if unknown:\n    import absent": True,
    "if unknown:\n    pass\nelse:\n    import absent": True,
    "for _ in range(2):\n    import absent": True,
    "with open(name) as file:\n    import absent": True,
    "match kind:\n    case 1:\n        import absent": True,
    "try:\n    pass\nfinally:\n    import absent": True,
    "try:\n    pass\nexcept OSError:\n    import absent": True,
    GUARDED.format("OSError"): True,
    "try:\n    import absent.fast\nexcept ImportError:\n    import absent": True,
    "try:\n    import present\nexcept ImportError:\n    pass\nelse:\n    import absent": True,
    GUARDED.format("ImportError"): False,
    GUARDED.format("(ValueError, ModuleNotFoundError)"): False,
    GUARDED.format("Exception"): False,
    "try:\n    import absent\nexcept:\n    pass": False,
    "try:\n    import present\nexcept ImportError:\n    import absent": False,
    "try:\n    import absent.fast\nexcept ImportError:\n    pass\nelse:\n    import absent": False,
    "def f():\n    import absent": False,
    "async def f():\n    import absent": False,
    "if TYPE_CHECKING:\n    import absent": False,
    "if typing.TYPE_CHECKING:\n    import absent\nelse:\n    import present": False,
    "if sys.platform == 'win32':\n    import absent": False,
    "if sys.version_info < (3, 5):\n    import absent": False,
    "if __name__ == '__main__':\n    import absent": False,
    "from present import absent": False,
    "import sys, os.path, importlib._bootstrap": False,
}


def bundle(folder: Path, **sources: str) -> Bundle:
    """Bundle packages with the given sources, and the modules `present` and `unused`.

    Each package has a module `absent` on disk, which the bundle lacks.
    """
    for name, source in sources.items():
        package = folder / name
        package.mkdir()
        (package / "__init__.py").write_text(source)
        (package / "absent.py").write_text("")
    (folder / "present.py").write_text("absent = 1")
    (folder / "unused.py").write_text("import absent")
    files = {name: folder / name / "__init__.py" for name in sources}
    return Bundle(
        {**files, "present": folder / "present.py", "unused": folder / "unused.py"}, {"os", "importlib", *CODECS}
    )


@pytest.mark.parametrize("source", FAILING)
def test_missing_module_is_reported_if_and_only_if_its_import_by_a_library_would_fail(
    tmp_path: Path, source: str
) -> None:
    found = bundle(tmp_path, elevator="import library", library=source).failing()
    assert bool(found) is FAILING[source]
    assert all(line.startswith("library imports ") and "absent" in line for line in found)


def test_missing_module_imported_in_a_function_of_our_package_is_reported(tmp_path: Path) -> None:
    source = "class A:\n    def f():\n        def g():\n            import absent"
    assert bundle(tmp_path, elevator=source).failing() == {"elevator imports absent"}


def test_missing_extension_module_of_our_package_is_reported(tmp_path: Path) -> None:
    incomplete = bundle(tmp_path, elevator="from elevator import _fast, version")
    (tmp_path / "elevator" / "_fast.abi3.so").write_bytes(b"")
    assert incomplete.failing() == {"elevator imports elevator._fast"}


def test_module_imported_in_a_function_of_a_library_is_checked(tmp_path: Path) -> None:
    source = "def f():\n    import other"
    found = bundle(tmp_path, elevator="import library", library=source, other="import absent").failing()
    assert found == {"other imports absent"}


def test_missing_codec_is_reported() -> None:
    assert Bundle({}, {*CODECS[1:]}).failing() == {f"Python imports {CODECS[0]}"}
