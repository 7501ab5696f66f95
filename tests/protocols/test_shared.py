"""Models on one frozen backbone share its features, and give what each of them would give alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task, tiny_resnet, tiny_vit
from torch import Tensor, nn

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, Trainable, features_of
from fieldmark.protocols import shared
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.runtime import inference
from fieldmark.vision.backbones import Backbone
from fieldmark.vision.libraries import Features

IMAGES = ImageParams(side=SIDE)
BATCH, PICTURES = 8, 18  # of the test pictures, in three batches


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "INFERENCE_BATCH", BATCH)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return make_task(tmp_path)


class Counted(Backbone):
    """Counts the pictures that it sees."""

    seen = 0

    def forward(self, images: Tensor) -> Features:
        self.seen += len(images)
        out: Features = super().forward(images)
        return out


class Linear(Trainable):
    """A linear head on a backbone, which may be frozen."""

    def __init__(self, seed: int, backbone: Backbone, frozen: bool = True) -> None:
        super().__init__()
        self.backbone, self.is_frozen = Counted(backbone.trunk, backbone.spec), frozen
        torch.manual_seed(seed)
        self.head = nn.Linear(backbone.spec.dim, 3)

    def feature_source(self) -> Backbone | None:
        return self.backbone if self.is_frozen else None

    def forward(self, batch: Batch) -> Losses:
        raise NotImplementedError

    def scores(self, batch: Batch) -> Tensor:
        out: Tensor = self.head(features_of(self.backbone, batch).feature_map.mean((2, 3)))
        return out


def run(features: SharedFeatures, model: Linear, images: ImageParams = IMAGES, role: str = "test") -> Tensor:
    return features.run(model, model.scores, features.task.subset(role), images, "test")


def alone(task: Task, model: Linear, images: ImageParams = IMAGES) -> Tensor:
    return task.run_batches(model, model.scores, task.subset("test"), images, "test")


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vit])
def test_each_model_gives_what_it_gives_alone_and_the_backbone_runs_once(
    task: Task, make: Callable[[], Backbone]
) -> None:
    features, models = SharedFeatures(task), [Linear(seed, make()) for seed in range(3)]
    shared_scores = [run(features, model) for model in models]
    assert [model.backbone.seen for model in models] == [PICTURES, 0, 0]
    for model, scores in zip(models, shared_scores, strict=True):
        assert torch.equal(scores, alone(task, model))
    assert not torch.equal(shared_scores[0], shared_scores[1])


def test_features_of_something_else_are_not_read(task: Task) -> None:
    features = SharedFeatures(task)
    run(features, Linear(0, tiny_resnet()))
    tuned = Linear(0, tiny_resnet())
    with torch.no_grad():
        next(tuned.backbone.parameters())[0, 0, 0, 0] += 1e-3
    assert torch.equal(run(features, tuned), alone(task, tuned))
    cut = ImageParams(side=SIDE, resize=2 * SIDE)
    cropped = Linear(0, tiny_resnet())
    assert torch.equal(run(features, cropped, cut), alone(task, cropped, cut))
    assert not torch.equal(alone(task, cropped, cut), alone(task, cropped))
    other = Linear(0, tiny_resnet())
    run(features, other, role="train")
    assert other.backbone.seen == PICTURES


def test_a_model_without_a_frozen_backbone_sees_pictures(task: Task) -> None:
    features = SharedFeatures(task)
    run(features, Linear(0, tiny_resnet()))
    trained = Linear(1, tiny_resnet(), frozen=False)
    assert torch.equal(run(features, trained), alone(task, trained))
    assert trained.backbone.seen == 2 * PICTURES


@pytest.mark.parametrize("room", [0, 3_000])
def test_features_that_take_too_much_memory_are_computed_anew(
    task: Task, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The second room takes one batch, but not all of them."""
    monkeypatch.setattr(shared, "LARGEST", room)
    features, models = SharedFeatures(task), [Linear(seed, tiny_resnet()) for seed in range(2)]
    for model in models:
        assert torch.equal(run(features, model), alone(task, model))
        assert model.backbone.seen == 2 * PICTURES
