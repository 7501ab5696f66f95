"""The pipeline as DVC tells of it, on one of four stages."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from fieldmark.running.graph import Pipeline, read_pipeline

PIPELINE = """\
stages:
  last: {cmd: cp two last, deps: [two], outs: [last]}
  two: {cmd: cp one two, deps: [one], outs: [two], params: [pma]}
  one: {cmd: touch one, outs: [one]}
  apart: {cmd: touch apart, outs: [apart]}
"""
PARAMS = "pma: {train: {steps: 30}, head: {probe: {steps: 12}}, shot_steps: 5}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMS)
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def read(folder: Path) -> Pipeline:
    pipeline = read_pipeline(folder)
    assert pipeline is not None
    return pipeline


def test_stages_come_after_what_they_need(folder: Path) -> None:
    needs = read(folder).needs
    assert needs == {"one": (), "apart": (), "two": ("one",), "last": ("two",)}
    assert [name for name in needs if name != "apart"] == ["one", "two", "last"]


def test_training_steps_are_those_of_all_blocks(folder: Path) -> None:
    assert read(folder).steps == {"one": 0, "apart": 0, "two": 42, "last": 0}


def test_what_has_changed_is_stale_and_what_comes_after_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(folder).stale == {"one", "two", "last", "apart"}
    monkeypatch.chdir(folder)
    with Repo(str(folder)) as repo:
        repo.reproduce()
    assert read(folder).stale == set()
    (folder / "params.yaml").write_text(PARAMS.replace("30", "31"))
    assert read(folder).stale == {"two", "last"}


@pytest.mark.parametrize("broken", ["stages: {one: {cmd: [}}", "stages: {one: {cmd: a, outs: ['${b}']}}"])
def test_what_dvc_cannot_read_is_left_to_dvc(folder: Path, broken: str) -> None:
    (folder / "dvc.yaml").write_text(broken)
    assert read_pipeline(folder) is None
