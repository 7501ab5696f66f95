"""The reader of imports, on files made for it."""

from pathlib import Path

import pytest

from . import imports
from .imports import closure, imported, late


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "fieldmark/__init__.py": "from fieldmark.heavy import load",
        "fieldmark/heavy.py": "",
        "fieldmark/room/__init__.py": "",
        "fieldmark/room/first.py": "def f():\n    from fieldmark.open import second",
        "fieldmark/open/second.py": "if TYPE_CHECKING:\n    import fieldmark.heavy\nimport fieldmark.open.third, os",
        "fieldmark/open/third.py": "from fieldmark.late import measure, found",
        "fieldmark/late/__init__.py": "def __getattr__(name):\n    ...",
        "fieldmark/late/found.py": "",
        "stages/run.py": "from _shared import run\nfrom fieldmark.room.first import f",
        "stages/_shared.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(imports, "SRC", tmp_path)
    monkeypatch.setattr(imports, "STAGES", tmp_path / "stages")
    monkeypatch.setattr(imports, "TOP", tmp_path / "fieldmark/__init__.py")
    return tmp_path


def names(folder: Path, paths: set[Path] | frozenset[Path]) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in paths}


def test_imports_within_functions_count_and_those_for_types_do_not(package: Path) -> None:
    assert names(package, imported(package / "fieldmark/room/first.py")) == {"fieldmark/open/second.py"}
    assert names(package, imported(package / "fieldmark/open/second.py")) == {"fieldmark/open/third.py"}


def test_a_closure_holds_what_is_imported_in_turn_and_the_packages_above(package: Path) -> None:
    assert names(package, closure([package / "stages/run.py"])) == {
        *("stages/run.py", "stages/_shared.py"),
        *("fieldmark/room/__init__.py", "fieldmark/room/first.py"),
        *("fieldmark/open/second.py", "fieldmark/open/third.py"),
        *("fieldmark/late/__init__.py", "fieldmark/late/found.py"),
    }


def test_a_name_that_is_found_late_is_noticed(package: Path) -> None:
    assert late(package / "fieldmark/open/third.py") == {"fieldmark.late.measure"}
    assert late(package / "fieldmark/open/second.py") == frozenset()
