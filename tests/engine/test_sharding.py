"""Processes that have a part of the weights each train as those that have all of them, and as one process alone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import sharded
from support.tiny import RESNET, SIDE, make_task, tiny_resnet, tiny_vit
from torch import Tensor, nn

from fieldmark.pretraining.backbones import Classifier
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.sharding import blocks
from fieldmark.vision.backbones import NetworkParams, create_backbone

TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}  # sums over parts are rounded in another way
OF_ITS_OWN = ("scaled", "resnet")  # each process has the loss of its own pictures
SLOW = pytest.param(3, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[2, SLOW])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where so many processes have written what they have. One start serves all tests: it is slow."""
    made = tmp_path_factory.mktemp(str(request.param))
    command = [sys.executable, str(sharded.__file__), str(made), str(request.param)]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    """What each process has."""
    return [torch.load(path, weights_only=False) for path in sorted(folder.glob("[0-9].pt"))]


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def require_close(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(
                other[key], value, **TOLERANCE, msg=lambda text, key=key: f"{key}: {text}"
            )


@pytest.mark.parametrize("name", sharded.NAMES)
def test_parts_end_where_copies_and_one_process_do(
    found: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    alone = sharded.fit(name, make_task(tmp_path), tmp_path / "states")
    parts, copies = (found[0][way][name] for way in ("parts", "copies"))
    require_close(copies["state"], parts["state"])
    require_close(alone["state"], parts["state"])
    assert parts["losses"] == pytest.approx(copies["losses"], rel=1e-4)
    if name not in OF_ITS_OWN:
        assert parts["losses"] == pytest.approx(alone["losses"], rel=1e-4)


@pytest.mark.parametrize("name", sharded.NAMES)
def test_every_process_ends_with_an_ordinary_module_and_all_weights(
    found: list[dict[str, Any]], name: str
) -> None:
    first = found[0]["parts"][name]["state"]
    for process in found:
        state = process["parts"][name]["state"]
        assert all(type(value) is Tensor for value in state.values() if isinstance(value, Tensor))
        assert all(
            torch.equal(value, first[key]) for key, value in state.items() if isinstance(value, Tensor)
        )
        assert process["parts"][name]["ordinary"]


def test_a_process_holds_its_part_of_weights_and_optimiser_state(found: list[dict[str, Any]]) -> None:
    copies, parts = ([process["held"][way] for process in found] for way in ("copies", "parts"))
    for kind in ("weights", "optimiser"):
        whole = copies[0][kind]
        assert [held[kind] for held in copies] == [whole] * len(found)
        # Only the weight without axes is whole everywhere; a row that is left over goes to the first processes.
        assert sum(held[kind] for held in parts) - whole <= 8 * (len(found) - 1)
        assert max(held[kind] for held in parts) < 1.2 * whole / len(found)


def test_a_weight_without_axes_is_changed_by_itself(found: list[dict[str, Any]]) -> None:
    """Kernels for many weights at once, which are usual on GPUs, do not take cut and whole ones together."""
    for process in found:
        assert process["held"]["parts"]["one by one"] == [False, True]
        assert process["held"]["copies"]["one by one"] == [False, False]


@pytest.mark.parametrize("name", sharded.NAMES)
def test_a_stopped_training_goes_on_to_the_same_weights(found: list[dict[str, Any]], name: str) -> None:
    assert found[0]["resumed in parts"][name]["losses"] == found[0]["parts"][name]["losses"]
    for process in found:
        resumed, whole = process["resumed in parts"][name], process["parts"][name]
        assert resumed["state"].keys() == whole["state"].keys()
        for key, value in whole["state"].items():
            assert not isinstance(value, Tensor) or torch.equal(resumed["state"][key], value), key


@pytest.mark.parametrize("name", sharded.NAMES)
def test_it_goes_on_in_copies_and_in_one_process(
    folder: Path, found: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    alone = sharded.fit(name, make_task(tmp_path), folder / "to alone")
    whole = found[0]["parts"][name]["state"]
    require_close(found[0]["resumed in copies"][name]["state"], whole)
    require_close(alone["state"], whole)
    assert alone["losses"][0] == found[0]["parts"][name]["losses"][0]  # it did not begin anew


def test_a_state_is_the_same_file_as_without(folder: Path) -> None:
    """Whole tensors under the same names; only the kernels of the optimiser may be others."""
    for name in sharded.NAMES:
        [parts], [copies] = (list((folder / way / name).glob("*/state.pt")) for way in ("parts", "copies"))
        require_alike(*(torch.load(path, weights_only=True) for path in (parts, copies)))


def require_alike(one: Any, other: Any) -> None:
    """Compare two states: the same keys, shapes and types at any depth."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {"foreach", "fused"}:
            require_alike(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            require_alike(mine, theirs)
    elif isinstance(one, Tensor):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def test_whole_weights_in_the_middle_leave_training_as_it_was(
    found: list[dict[str, Any]], tmp_path: Path
) -> None:
    made = {}

    def keep(done: int) -> None:
        if done == sharded.KEPT_AT:
            made.update({key: value.clone() for key, value in model.state_dict().items()})

    from fieldmark.engine.training import train_on

    model, images, params = sharded.make("scaled", make_task(tmp_path))
    train_on(model, images, params, make_task(tmp_path / "data"), "alone", keep)
    for process in found:
        require_close(made, process["kept"]["then"])
        for key, value in process["parts"]["scaled"]["state"].items():
            assert torch.equal(process["kept"]["state"][key], value), key


def test_what_cannot_be_cut_is_refused_in_one_line(found: list[dict[str, Any]]) -> None:
    for process in found:
        assert process["compile"] == "train.compile does not go with runtime.shard: set one of them to false"
        assert process["uncalled"].startswith("runtime.shard: this network uses weights of its blocks")
        assert process["uncalled"].endswith("set it to false")


def test_one_process_has_all_weights_whatever_is_asked(tmp_path: Path) -> None:
    assert not RuntimeParams(shard=True).sharded
    assert RuntimeParams(shard=True, nodes=2).sharded
    plain = sharded.fit("scaled", make_task(tmp_path / "a"), tmp_path / "states a")
    task = make_task(tmp_path / "b")
    asked = replace(task, runtime=task.runtime.model_copy(update={"shard": True}))
    found = sharded.fit("scaled", asked, tmp_path / "states b")
    assert all(torch.equal(found["state"][key], value) for key, value in plain["state"].items())


def names(module: nn.Module) -> list[str]:
    """Return what is cut by itself, by name."""
    by_module = {part: name for name, part in module.named_modules()}
    return [by_module[part].partition("network.")[2] for part in blocks(module)]


def test_each_block_of_a_network_is_cut_by_itself() -> None:
    assert names(Classifier(tiny_vit(), 3, "cls")) == ["blocks.0", "blocks.1"]
    assert names(tiny_resnet()) == [f"layer{number}.0" for number in range(1, len(RESNET["channels"]) + 1)]
    assert names(nn.Sequential(nn.Linear(2, 2))) == []


def test_a_stage_is_cut_after_its_blocks() -> None:
    options = {"depths": [1, 2, 1, 1], "dims": [8] * 4}
    found = names(create_backbone(NetworkParams(arch="convnext_atto", options=options), SIDE))
    assert found[:5] == [
        "stages.0.blocks.0",
        "stages.0",
        "stages.1.blocks.0",
        "stages.1.blocks.1",
        "stages.1",
    ]
    assert found[5:] == ["stages.2.blocks.0", "stages.2", "stages.3.blocks.0", "stages.3"]


def test_a_traced_network_of_torchvision_is_cut_as_one() -> None:
    network = NetworkParams(library="torchvision", arch="resnet18")
    assert names(create_backbone(network, SIDE)) == []
