"""Two processes with half of each batch end where one process with all of it ends: every training, every variant.

The same with half of the weights in each.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import in_parts
from support.everything import FINE_TUNING, TRAINED, VIEWED
from support.trainings import Training
from torch import Tensor

Make = Callable[[str], Training]
TOLERANCE = 2e-5  # sums over halves are rounded in another way
LOOK_ACROSS = ("irt/", "loca/", "clip_models/", FINE_TUNING)  # each process has the loss of the whole batch

OF_ITS_OWN = ("loca/supervised",)  # each process has the loss of its own pictures


@pytest.fixture(scope="module")
def alone(here: Path) -> Path:
    """A folder with all final states of one process."""
    in_parts.train_all(here / "alone", 1)
    return here / "alone"


@pytest.fixture(scope="module", params=["copies", pytest.param("shard", marks=pytest.mark.slow)])
def together(here: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with all final states of two, with a copy or with a part of the weights. One start serves all."""
    folder = here / request.param
    command = [sys.executable, str(in_parts.__file__), str(folder), "2", request.param]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.parametrize("name", [*TRAINED, *VIEWED])
def test_two_processes_equal_one(alone: Path, together: Path, training: Make, name: str) -> None:
    one, two = (torch.load(folder / f"{name}.pt", weights_only=True) for folder in (alone, together))
    assert one["state"].keys() == two["state"].keys()
    assert moved(training(name), one["state"])
    for key, value in one["state"].items():
        if not isinstance(value, Tensor):
            assert two["state"][key] == value
            continue
        torch.testing.assert_close(
            two["state"][key], value, atol=TOLERANCE, rtol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
        )
    if name.startswith(LOOK_ACROSS) and name not in OF_ITS_OWN:
        assert two["point"]["loss"] == pytest.approx(one["point"]["loss"], rel=1e-4)


def moved(made: Training, state: dict[str, Tensor]) -> bool:
    """Tell whether training changed any weight by far more than two runs may differ."""
    first = {
        key.removeprefix("student.").removeprefix("clip."): value
        for key, value in made.build().state_dict().items()
    }
    return any(
        float((value - first[key]).abs().max()) > 10 * TOLERANCE
        for key, value in state.items()
        if key in first and isinstance(value, Tensor) and value.is_floating_point()
    )
