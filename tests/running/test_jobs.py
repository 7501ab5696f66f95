"""How many branches run side by side."""

from pathlib import Path

import pytest

from fieldmark.base.errors import UserError
from fieldmark.running import jobs
from fieldmark.running.jobs import chosen_jobs


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A params.yaml without blocks, on a machine of four processors without a GPU."""
    monkeypatch.setattr(jobs, "processors", lambda: 4)
    monkeypatch.setattr(jobs, "GPUS", (tmp_path / "nvidiactl",))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(jobs, "visible_gpus", lambda: ("0",) if (tmp_path / "nvidiactl").exists() else ())
    (tmp_path / "params.yaml").write_text("{}\n")
    return tmp_path / "params.yaml"


def test_two_where_nothing_speaks_against_it(params: Path) -> None:
    assert chosen_jobs(None, params) == 2


def test_one_on_one_processor(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "processors", lambda: 1)
    assert chosen_jobs(None, params) == 1


def test_one_with_a_gpu_unless_it_is_not_used(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (params.parent / "nvidiactl").touch()
    assert chosen_jobs(None, params) == 1
    params.write_text("runtime: {device: cpu}\n")
    assert chosen_jobs(None, params) == 2
    params.write_text("runtime: {device: cuda}\n")
    assert chosen_jobs(None, params) == 1


def test_one_on_each_of_several_gpus(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (params.parent / "nvidiactl").touch()
    monkeypatch.setattr(jobs, "visible_gpus", lambda: ("0", "1", "5"))
    assert chosen_jobs(None, params) == 3
    params.write_text("runtime: {devices: 3}\n")
    assert chosen_jobs(None, params) == 1
    params.write_text("runtime: {device: cpu}\n")
    assert chosen_jobs(None, params) == 2


def test_one_on_macs_whose_gpu_is_always_there(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert chosen_jobs(None, params) == 1


def test_one_where_a_stage_runs_in_several_processes(params: Path) -> None:
    params.write_text("runtime: {devices: 2}\n")
    assert chosen_jobs(None, params) == 1


def test_what_is_given_holds(params: Path) -> None:
    (params.parent / "nvidiactl").touch()
    assert chosen_jobs(3, params) == 3
    with pytest.raises(UserError, match="JOBS is 0"):
        chosen_jobs(0, params)
