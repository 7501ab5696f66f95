"""One GPU for each branch."""

from pathlib import Path

import pytest

from fieldmark.running import gpus
from fieldmark.running.gpus import shares, visible_gpus


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The device files of a machine with three GPUs."""
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def test_all_are_seen_unless_some_are_chosen(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus() == ("0", "1", "2")
    for chosen, seen in (("2, GPU-5f", ("2", "GPU-5f")), ("", ()), ("-1", ())):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert visible_gpus() == seen


@pytest.mark.parametrize(
    ("jobs", "expected"), [(1, ["0,1,2"]), (2, ["0,2", "1"]), (3, ["0", "1", "2"]), (4, ["0", "1", "2", "0"])]
)
def test_each_branch_has_its_own(devices: Path, jobs: int, expected: list[str]) -> None:
    assert shares(jobs) == [{"CUDA_VISIBLE_DEVICES": seen} for seen in expected]


def test_one_or_none_is_left_as_it_is(devices: Path) -> None:
    (devices / "nvidia2").unlink()
    (devices / "nvidia1").unlink()
    assert shares(2) == [{}, {}]
    (devices / "nvidia0").unlink()
    assert shares(2) == [{}, {}]
