"""Nothing is ever half-written."""

import errno
import json
from pathlib import Path

import pytest

from fieldmark.base.files import atomic_folder, atomic_path, rounded, sha256_file, write_json


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"), atomic_path(path) as temporary:
        temporary.write_text("half")
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_a_full_disk_while_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_json(tmp_path / "new.json", {"a": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for content in ("one", "two"):
        with atomic_folder(folder) as temporary:
            (temporary / content).write_text(content)
    assert [p.name for p in folder.iterdir()] == ["two"]
    with pytest.raises(OSError, match="No space"), atomic_folder(folder) as temporary:
        (temporary / "three").write_text("half")
        fail()
    assert [p.name for p in folder.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_json_is_sorted_rounded_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    write_json(path, {"b": 1 / 3, "a": [1, True, None, "x", (0.1234567890123,)]})
    assert (
        path.read_text()
        == json.dumps({"a": [1, True, None, "x", [0.123457]], "b": 0.333333}, indent=2) + "\n"
    )
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text())["b"] == 0.333333
    write_json(path, {"b": 1 / 3}, exact=True)
    assert json.loads(path.read_text())["b"] == 1 / 3


def test_rounding_keeps_six_digits() -> None:
    assert rounded({"x": 123456789.0, "y": 1.23456789e-9, "n": 7}) == {
        "x": 123457000.0,
        "y": 1.23457e-9,
        "n": 7,
    }


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_file(tmp_path / "f").startswith("ba7816bf8f01cfea")
