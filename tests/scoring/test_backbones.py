"""What a backbone can do by itself, with the classifier that it was trained in and without one."""

from pathlib import Path

import pandas as pd
import pytest
from support.classified import backbone_params, classification_task
from support.tiny import tiny_vit

from fieldmark.engine.task import Task
from fieldmark.pretraining.backbones import make_backbone
from fieldmark.scoring.backbones import describe_backbone, score_backbone


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return classification_task(tmp_path / "task")


def test_a_trained_backbone_knows_colours(task: Task) -> None:
    params = backbone_params(train={"steps": 60, "batch_size": 12, "lr": 3e-3})
    backbone, classifier, _ = make_backbone(params, task, "v")
    result = describe_backbone("vit", backbone, classifier, params, task)
    top1 = result.measures["top1"]
    assert top1.value > 0.8  # one colour a class: chance is a quarter
    assert top1.low <= top1.value <= top1.high  # type: ignore[operator]
    assert list(result.metric_values) == ["recall@1", "top1"]
    assert (result.name, result.weights) == ("vit", "trained here on split 's'")
    assert result.parameters == sum(p.numel() for p in backbone.parameters())


def test_a_backbone_without_a_classifier_is_searched_with_alone(task: Task) -> None:
    params = backbone_params(weights="/data/w.safetensors")
    measures = score_backbone(tiny_vit(), None, params, task)
    assert list(measures) == ["recall@1"]
    assert 0.0 <= measures["recall@1"].value <= 1.0
    assert describe_backbone("vit", tiny_vit(), None, params, task).weights == "w.safetensors"


def test_where_no_class_has_two_test_pictures_there_is_nothing_to_recall(task: Task) -> None:
    """As where a twentieth of a few pictures of each class is the test."""
    split = task.split
    single = split[split["role"] == "test"].drop_duplicates("label")
    few = task.with_split(pd.concat([split[split["role"] == "train"], single]))
    params = backbone_params(train={"steps": 1, "batch_size": 4, "lr": 1e-3})
    backbone, classifier, _ = make_backbone(params, few, "v")
    result = describe_backbone("vit", backbone, classifier, params, few)
    assert list(result.measures) == ["top1"]
    assert list(result.metric_values) == ["top1"]
