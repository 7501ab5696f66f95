"""Backbones from training and from weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.classified import backbone_params, classification_task
from support.tiny import RESNET, SIDE, VIT

from fieldmark.base.errors import UserError
from fieldmark.engine.task import Task
from fieldmark.pretraining.backbones import load_classifier, make_backbone, save_head
from fieldmark.vision.backbones import NetworkParams, contiguous, create_backbone


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return classification_task(tmp_path / "task")


def test_training_lowers_the_loss(task: Task) -> None:
    params = backbone_params(train={"steps": 60, "batch_size": 12, "lr": 3e-3})
    backbone, classifier, curve = make_backbone(params, task, "v")
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert backbone.spec.dim == 16
    assert classifier is not None
    assert classifier.backbone is backbone


@pytest.mark.parametrize("pooling", ["cls", "cls_distilled"])
def test_a_token_that_the_network_lacks_is_refused_before_training(task: Task, pooling: str) -> None:
    params = backbone_params(
        arch="resnet10t", options=RESNET, pooling=pooling, train={"steps": 1, "batch_size": 8, "lr": 1e-3}
    )
    with pytest.raises(UserError, match=f"^pooling '{pooling}' needs a class token, resnet10t has none; use"):
        make_backbone(params, task, "v")
    assert not list(task.states.root.rglob("*"))


def test_the_same_seed_gives_the_same_backbone(task: Task) -> None:
    params = backbone_params(train={"steps": 3, "batch_size": 8, "lr": 1e-3})
    first, second = (make_backbone(params, task, run)[0].state_dict() for run in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_are_taken_not_trained(task: Task, tmp_path: Path) -> None:
    source = create_backbone(NetworkParams(arch="vit_tiny_patch16_224", options=VIT), SIDE)
    save_file(contiguous(source.trunk.network.state_dict()), tmp_path / "w.safetensors")
    params = backbone_params(weights=str(tmp_path / "w.safetensors"))
    backbone, classifier, curve = make_backbone(params, task, "v")
    assert (classifier, curve) == (None, [])
    for name, value in source.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value)


def test_the_classifier_comes_back_around_its_backbone(task: Task, tmp_path: Path) -> None:
    params = backbone_params(train={"steps": 1, "batch_size": 8, "lr": 1e-3}, pooling="cls")
    backbone, classifier, _ = make_backbone(params, task, "v")
    assert classifier is not None
    assert load_classifier(backbone, tmp_path, params.pooling) is None
    save_head(classifier, tmp_path)
    again = load_classifier(backbone, tmp_path, params.pooling)
    assert again is not None
    images = torch.rand(3, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(again.eval().logits(images), classifier.eval().logits(images))


@pytest.mark.parametrize("changes", [{}, {"weights": "library", "train": {"steps": 1, "lr": 1e-3}}])
def test_either_weights_or_training(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="either weights"):
        backbone_params(**changes)
