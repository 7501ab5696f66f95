"""Processors that a process may use, in groups of both versions."""

import os
from pathlib import Path

import pytest

from fieldmark.base import processors as module
from fieldmark.base.processors import processors


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of control groups, of a process in `/job/step`, on a machine of twelve processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.setattr(module, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(module, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text("3:cpu,cpuacct:/job/step\n2:memory:/job\n0::/job/step\n")
    (tmp_path / "groups/job/step").mkdir(parents=True)
    return tmp_path / "groups"


def test_without_a_quota_it_is_the_affinity(groups: Path) -> None:
    assert processors() == 12
    (groups / "job/step/cpu.max").write_text("max 100000\n")
    assert processors() == 12
    module.MEMBERSHIP.unlink()
    assert processors() == 12


@pytest.mark.parametrize(("quota", "expected"), [(400000, 4), (250000, 3), (50000, 1), (9900000, 12)])
def test_a_quota_of_version_2_holds_rounded_up(groups: Path, quota: int, expected: int) -> None:
    (groups / "job/step/cpu.max").write_text(f"{quota} 100000\n")
    assert processors() == expected


def test_the_smallest_quota_of_all_groups_above_holds(groups: Path) -> None:
    (groups / "job/step/cpu.max").write_text("800000 100000\n")
    (groups / "job/cpu.max").write_text("200000 100000\n")
    assert processors() == 2


def test_a_quota_of_version_1(groups: Path) -> None:
    folder = groups / "cpu,cpuacct/job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert processors() == 12
    (folder / "cpu.cfs_quota_us").write_text("500000\n")
    assert processors() == 5
