"""Backbones from training and from weights, and their scores."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.tiny import SIDE, VIT, make_task

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.task import Task
from fieldmark.pretraining.backbones import pretrain
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.vision.backbones import NetworkParams, contiguous, create_backbone


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Classification: every class in both roles."""
    monkeypatch.chdir(tmp_path)
    made = make_task(tmp_path / "task", classes=4, images=8)
    split = made.split.assign(label=made.split["class_name"].astype("category").cat.codes.astype("int64"))
    split["role"] = ["test" if n % 4 == 0 else "train" for n in range(len(split))]
    return dataclasses.replace(made, split=split)


def params(**changes: object) -> BackboneParams:
    fields = {
        "dataset": "d",
        "split": "s",
        "arch": "vit_tiny_patch16_224",
        "options": VIT,
        "images": {"side": SIDE, "crop": "centre"},
        **changes,
    }
    return parse(BackboneParams, fields, "backbones.vit")


def test_training_learns_colours_and_reports_test_pictures(task: Task, tmp_path: Path) -> None:
    own = params(train={"steps": 60, "batch_size": 12, "lr": 3e-3})
    backbone, metrics, curve = pretrain(own, task, CheckpointFolder(tmp_path, "v", "k"), "v")
    assert metrics["top1"]["value"] > 0.8  # one colour a class: chance is a quarter
    assert metrics["top1"]["low"] <= metrics["top1"]["value"] <= metrics["top1"]["high"]
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert backbone.spec.dim == 16


def test_the_same_seed_gives_the_same_backbone(task: Task, tmp_path: Path) -> None:
    own = params(train={"steps": 3, "batch_size": 8, "lr": 1e-3})
    pair = [pretrain(own, task, CheckpointFolder(tmp_path / n, "v", "k"), n)[0].state_dict() for n in "ab"]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])


def test_weights_are_scored_not_trained(task: Task, tmp_path: Path) -> None:
    source = create_backbone(NetworkParams(arch="vit_tiny_patch16_224", options=VIT), SIDE)
    save_file(contiguous(source.trunk.network.state_dict()), tmp_path / "w.safetensors")
    own = params(weights=str(tmp_path / "w.safetensors"))
    backbone, metrics, curve = pretrain(own, task, CheckpointFolder(tmp_path, "v", "k"), "v")
    assert curve == []
    assert list(metrics) == ["recall@1"]
    for name, value in source.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value)


@pytest.mark.parametrize("changes", [{}, {"weights": "library", "train": {"steps": 1, "lr": 1e-3}}])
def test_either_weights_or_training(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="either weights"):
        params(**changes)
