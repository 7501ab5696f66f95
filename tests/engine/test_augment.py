"""`runtime.augment: device` trains to the weights of `workers`, resumes, and says where it cannot be done."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import SIDE, make_task, tiny_resnet

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches import loading
from fieldmark.datasets.data.batches.boxed import BoxedStore
from fieldmark.datasets.data.batches.drawing import DeferredTransform
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.features import kept_features
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.engine.training import pick_transform, train_on
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.runtime.params import RuntimeParams

IMAGES = {"side": SIDE, "jitter": 0.3, "erase": 0.5}
STEPS = 12


class StoppedError(Exception):
    """What ends a training in the middle."""


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def task_of(folder: Path, augment: str, workers: int = 0) -> Task:
    runtime = RuntimeParams(device="cpu", workers=workers, augment=augment, checkpoint_seconds=0)
    return dataclasses.replace(make_task(folder), runtime=runtime)


def trained(task: Task, states: Path, last: int | None = None) -> dict[str, Any]:
    """Train the tiny IRT from whatever `states` holds, at most up to step `last`; return its weights."""

    def stop(done: int) -> None:
        if done == last:
            raise StoppedError

    task = dataclasses.replace(task, states=StateKey(states))
    method = built(task)
    train_on(method, method.params.images, method.params.seeded, task, "irt/R", stop)
    return method.state_dict()


def built(task: Task) -> Irt:
    """Return the tiny IRT as training begins with it."""
    train = {"steps": STEPS, "batch_size": 6, "images_per_class": 2, "lr": 1e-3}
    params = parse(IrtParams, {"images": IMAGES, "train": train}, "irt")
    torch.manual_seed(0)
    return Irt.build(Irt.named(params, "R"), task)


def differences(one: dict[str, Any], other: dict[str, Any]) -> float:
    pairs = ((value, other[name]) for name, value in one.items() if isinstance(value, torch.Tensor))
    return max(float((a - b).abs().max()) for a, b in pairs if a.numel())


def test_training_ends_with_the_weights_of_workers_also_when_it_was_stopped(tmp_path: Path) -> None:
    workers = trained(task_of(tmp_path / "a", "workers"), tmp_path / "s")
    task = task_of(tmp_path / "b", "device", workers=2)
    assert isinstance(pick_transform(ImageParams(**IMAGES), task, "irt/R"), DeferredTransform)
    whole = trained(task, tmp_path / "whole")
    with pytest.raises(StoppedError):
        trained(task, tmp_path / "cut", last=11)
    assert torch.load(StateKey(tmp_path / "cut").folder("irt/R").path, weights_only=True)["step"] == 10
    assert differences(trained(task, tmp_path / "cut"), whole) == 0.0
    assert differences(whole, workers) < 1e-4  # a grey level, where torchvision resizes in float
    assert differences(whole, built(task).state_dict()) > 1e-3  # training moves weights by far more


def test_features_that_are_kept_are_those_of_the_workers(tmp_path: Path) -> None:
    images = ImageParams(**IMAGES)
    stores = []
    for augment, transform in (
        ("workers", training_transform(images)),
        ("device", DeferredTransform(images)),
    ):
        task = task_of(tmp_path / augment, augment)
        subset = task.subset("train")
        views = ViewDataset(task.store, subset.rows, subset.labels, transform, 0, 2)
        recipe = TrainParams.model_validate({"steps": 1, "batch_size": 6, "lr": 0.1, "precision": "fp32"})
        stores.append(kept_features(tiny_resnet(), views, images, recipe, task, "cprfl/CPRFL"))
    one, other = (store.read(range(store.rows)) for store in stores)
    assert all(torch.allclose(value, other[name], atol=0.02) for name, value in one.items())


@pytest.mark.parametrize("region", ["whole", "box"])
@pytest.mark.parametrize("augment", ["workers", "device"])
@pytest.mark.parametrize("operations", [0, 2])
def test_what_no_batch_goes_through_is_left_to_workers_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], region: str, augment: str, operations: int
) -> None:
    task = task_of(tmp_path, augment)
    if region == "box":
        task = dataclasses.replace(task, store=BoxedStore.of(task.store.folder, task.manifest))
    images = ImageParams(side=SIDE, augment=operations)
    loading.say_once.cache_clear()
    made = [pick_transform(images, task, "cprfl/CPRFL") for _ in range(2)]
    said = capsys.readouterr().err
    possible = region == "whole" and operations == 0
    assert isinstance(made[0], DeferredTransform) == (augment == "device" and possible)
    assert said.count("\n") == (augment == "device" and not possible)
    if said:
        assert said.startswith("cprfl/CPRFL: runtime.augment is device, but the loader's workers augment: ")
        assert ("images.augment 2" if operations else str(task.store.folder)) in said


def test_another_place_is_refused() -> None:
    with pytest.raises(UserError, match=r"^parameter runtime\.augment"):
        parse(RuntimeParams, {"augment": "gpu"}, "runtime")
