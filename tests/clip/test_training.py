"""Where CLIPs come from: trained on captions, or taken with their weights."""

from pathlib import Path

import pytest
import torch
from support.clips import SIDE, tiny_clip
from support.colours import clip_params, colour_task, silent

from fieldmark.base.errors import UserError
from fieldmark.clip.training import make_clip, sentences_of
from fieldmark.engine.task import Task


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return colour_task(tmp_path / "task")


def test_training_lowers_the_loss_and_freezes_the_clip(task: Task) -> None:
    clip, curve = make_clip(clip_params(), task, "clip-small")
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert not clip.training
    assert not any(weight.requires_grad for weight in clip.parameters())


def test_sentences_hold_where_the_annotations_have_all_that_they_name(task: Task) -> None:
    train = task.subset("train")
    templates = ["a {back_colour} {colour}", "a {crown_colour} {colour}"]
    told = sentences_of(task.manifest, train, templates)
    assert len(told) == len(train)
    for name, sentences in zip(train.frame["class_name"], told, strict=True):
        assert sentences == [f"a {name} picture", f"it is {name}", f"a dark {name} {name}"]


def test_a_clip_with_weights_is_not_trained_and_needs_no_captions(task: Task, tmp_path: Path) -> None:
    torch.save(tiny_clip().network.state_dict(), tmp_path / "w.pt")
    params = clip_params(train=None, pretrained=str(tmp_path / "w.pt"))
    clip, curve = make_clip(params, silent(task), "c")
    assert curve == []
    assert torch.equal(clip.encode_texts(["a"]), tiny_clip().encode_texts(["a"]))
    with pytest.raises(UserError, match="32 training pictures of data set 'd' have no caption"):
        make_clip(clip_params(), silent(task), "c")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "RN50"}, "either an arch"),
        ({"config": None}, "either an arch"),
        ({"pretrained": "openai"}, "either pretrained weights or a train block"),
        ({"train": None}, "either pretrained weights or a train block"),
        ({"templates": ["a photo"]}, "needs one {}"),
        ({"templates": []}, "needs one {}"),
        ({"templates": ["{name}"]}, "needs one {}"),
        ({"sentences": ["a {}"]}, "must name what it tells"),
        ({"sentences": ["a {a!r}"]}, "letters, digits and underscores"),
        ({"images": {"side": SIDE, "resize": 40}}, "leave images.resize out"),
        ({"colour": "red"}, "unknown parameter clip_models.small.colour"),
    ],
)
def test_wrong_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        clip_params(**changes)
