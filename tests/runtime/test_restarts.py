"""Two and three processes of torchrun: inference by all of them, and a restart in the middle of training."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support import restarted

pytestmark = pytest.mark.slow


def launch(folder: Path, processes: int, kill: str, *more: str) -> list[dict[str, Any]]:
    """Run the program under torchrun; return what each process wrote."""
    folder.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=1"]
    command += [f"--nproc-per-node={processes}", str(restarted.__file__), str(folder), str(processes), kill]
    command += more
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(processes)]


@pytest.fixture(scope="module", params=[(2,), (3,), (2, "shard")])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the processes of an uninterrupted run wrote, and those of one that was killed in the middle."""
    folder = tmp_path_factory.mktemp("runs")
    processes, *more = request.param
    return [launch(folder / kill, processes, kill, *more) for kill in ("whole", "kill")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What one process writes."""
    return launch(tmp_path_factory.mktemp("alone") / "1", 1, "whole")


def test_every_process_gets_the_rows_of_one(runs: list[Any], alone: list[Any]) -> None:
    """Four batches, the last one smaller, and one batch for all: no picture is missing or twice."""
    for process in runs[0]:
        for count, rows in alone[0]["rows"].items():
            assert rows.shape[0] == count
            assert torch.equal(process["rows"][count], rows)


def test_the_work_is_shared(runs: list[Any], alone: list[Any]) -> None:
    assert alone[0]["asked"] == [5, 5, 5, 3, 3]
    batches = {2: [[5, 5, 3], [5, 3, 3]], 3: [[5, 3, 3], [5, 3, 3], [5, 3, 3]]}
    assert [process["asked"] for process in runs[0]] == batches[len(runs[0])]


def test_a_restart_in_the_middle_ends_with_the_same_weights(runs: list[Any]) -> None:
    whole, killed = runs
    assert {process["again"] for process in whole} == {"0"}
    assert {process["again"] for process in killed} == {"1"}
    for one, other in zip(whole, killed, strict=True):
        assert other["state"].keys() == one["state"].keys()
        for key, value in one["state"].items():
            assert torch.equal(other["state"][key], value) if isinstance(value, torch.Tensor) else True
        losses = [[point["loss"] for point in process["curve"]] for process in (one, other)]
        assert losses[0] == losses[1]
        name = "descriptor.backbone.trunk.network.conv1.1.running_mean"
        assert torch.equal(one["state"][name], whole[0]["state"][name])


def test_the_first_process_alone_saves(runs: list[Any]) -> None:
    whole, killed = runs
    assert whole[0]["saves"] == [10, 20, 30, 40]
    assert killed[0]["saves"] == [30, 40]
    assert all(process["saves"] == [] for process in (*whole[1:], *killed[1:]))
