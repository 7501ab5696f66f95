"""Nothing is ever half-written."""

import errno
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

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


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to write more than `size` bytes to a file, as on a full disk, to whoever writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_array(values: torch.Tensor, path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, values.numpy())


WRITERS: dict[str, Callable[[torch.Tensor, Path], None]] = {
    "torch": lambda values, path: torch.save({"a": values}, path),
    "safetensors": lambda values, path: save_file({"a": values}, path),
    "numpy": save_array,
    "plain": lambda values, path: path.write_bytes(values.numpy().tobytes()) and None,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_library_fills_the_disk_it_is_the_systems_error(tmp_path: Path, writer: str) -> None:
    values, path = torch.zeros(10**6), tmp_path / "a.bin"
    path.write_text("old")
    with (
        files_of_at_most(2**17),
        pytest.raises(OSError, match=os.strerror(errno.EFBIG)),
        atomic_path(path) as new,
    ):
        WRITERS[writer](values, new)
    with (
        files_of_at_most(2**17),
        pytest.raises(OSError, match="too large"),
        atomic_folder(tmp_path / "b") as new,
    ):
        WRITERS[writer](values, new / "a.bin")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.bin", "old")]


def test_what_is_wrong_elsewhere_is_not_put_down_to_the_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"), atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise RuntimeError("a bug")
    assert list(tmp_path.iterdir()) == []


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    host, dead = socket.gethostname(), dead_process()
    lost = [f".a.{host}.{dead}.part.json", f".b.{host}.{dead}.x.part", f".b.{host}.{dead}.x.old.part"]
    kept = [
        f".a.{host}.{os.getppid()}.part.json",
        f".a.elsewhere.{dead}.part.json",
        f".c.{host}.{dead}.part.json",
    ]
    for name in lost[1:]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    for name in (lost[0], *kept):
        (tmp_path / name).write_text("half")
    write_json(tmp_path / "a.json", 1)
    with atomic_folder(tmp_path / "b"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "a.json", "b"])


def test_a_kill_while_a_folder_is_replaced_leaves_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    with atomic_folder(folder) as temporary:
        (temporary / "one").write_text("one")
    seen: list[bool] = []
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: seen.append((folder / "two").exists()))
    with atomic_folder(folder) as temporary:
        (temporary / "two").write_text("two")
    assert seen
    assert all(seen), "something was deleted before the new folder was there"


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
