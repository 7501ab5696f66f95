"""The record of a run: a line per stage, written where DVC and the run say so, and nowhere else."""

import os
import time
from pathlib import Path

import pytest

from fieldmark.base.durations import RECORD, STAGE, read_durations, recorded


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(RECORD, str(tmp_path / "durations"))
    monkeypatch.setenv(STAGE, "train@irt")
    return tmp_path / "durations"


def test_a_stage_that_ends_adds_its_seconds_since_the_process_began(record: Path) -> None:
    with recorded(time.monotonic() - 7.0):
        assert not record.exists()
    [line] = read_durations(record)
    assert (line.stage, line.done) == ("train@irt", True)
    assert 7.0 <= line.seconds < 60.0


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_stage_that_fails_or_is_interrupted_adds_a_line_as_well(
    record: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), recorded(time.monotonic()):
        raise error
    [line] = read_durations(record)
    assert (line.stage, line.done) == ("train@irt", False)


def test_lines_stand_in_the_order_in_which_stages_end(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("check", "report"):
        monkeypatch.setenv(RECORD, str(record))
        monkeypatch.setenv(STAGE, stage)
        with recorded(time.monotonic()):
            pass
    assert [line.stage for line in read_durations(record)] == ["check", "report"]


def test_processes_that_a_stage_starts_do_not_find_the_record(record: Path) -> None:
    with recorded(time.monotonic()):
        assert RECORD not in os.environ


def test_nothing_is_written_outside_of_a_run(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STAGE)  # a script that somebody calls by hand
    with recorded(time.monotonic()):
        pass
    assert not record.exists()
    monkeypatch.setenv(STAGE, "train@irt")  # dvc repro without a record
    with recorded(time.monotonic()):
        pass
    assert list(record.parent.iterdir()) == []


def test_a_run_without_stages_has_no_lines(tmp_path: Path) -> None:
    assert read_durations(tmp_path / "none") == []
