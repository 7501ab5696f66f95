"""Where CLIPs come from: trained on captions, or taken with their weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.clips import SIDE, timm_config, tiny_clip
from support.colours import clip_params, colour_task, silent

from fieldmark.base.errors import UserError
from fieldmark.clip.training import make_clip, sentences_of
from fieldmark.engine.task import Task
from fieldmark.towers.clip import create_clip
from fieldmark.towers.templates import spaced
from fieldmark.vision.backbones import contiguous


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


def test_each_label_of_a_picture_with_several_has_its_sentence(task: Task) -> None:
    train = task.subset("train")
    labels = [["red car", "green_tree"] if place % 2 else [] for place in range(len(task.manifest))]
    several = task.manifest.assign(labels=labels)
    told = sentences_of(several, train, ["a photo of a {label}.", "a {label} in {colour}"])
    for name, of_picture, sentences in zip(
        train.frame["class_name"], several.set_index("id").loc[train.frame["id"], "labels"], told, strict=True
    ):
        wanted = [f"a photo of a {spaced(label)}." for label in of_picture]
        wanted += [f"a {spaced(label)} in {name}" for label in of_picture]
        assert sentences[2:] == wanted or not of_picture
        if not of_picture:  # then its class is its label
            assert sentences[2:] == [f"a photo of a {name}.", f"a {name} in {name}"]


def test_a_clip_with_weights_is_not_trained_and_needs_no_captions(task: Task, tmp_path: Path) -> None:
    torch.save(tiny_clip().network.state_dict(), tmp_path / "w.pt")
    params = clip_params(train=None, pretrained=str(tmp_path / "w.pt"))
    clip, curve = make_clip(params, silent(task), "c")
    assert curve == []
    assert torch.equal(clip.encode_texts(["a"]), tiny_clip().encode_texts(["a"]))
    with pytest.raises(UserError, match="32 training pictures of data set 'd' have no caption"):
        make_clip(clip_params(), silent(task), "c")


def test_an_image_tower_starts_from_the_weights_of_its_network(task: Task, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = create_clip(None, timm_config(), None, size=SIDE, squash=True).image_network
    save_file(contiguous(network.state_dict()), tmp_path / "w.safetensors")
    recipe = {"steps": 1, "batch_size": 4, "lr": 1e-3}
    weights = str(tmp_path / "w.safetensors")
    shade = {"mean": [0.5] * 3, "std": [0.2] * 3}
    params = clip_params(config=timm_config(), image_weights=weights, image_lr=0.0, train=recipe, **shade)
    clip, _ = make_clip(params, task, "clip-locked")
    for name, value in network.state_dict().items():
        assert torch.equal(clip.image_network.state_dict()[name], value), name
    save_file({"conv1.0.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors lacks \d+ of the network's"):
        make_clip(params, task, "clip-wrong")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_weights": "w.safetensors"}, "name their network in config.vision_cfg.timm_model_name"),
        (
            {"train": None, "pretrained": "w.pt", "image_lr": 0.5},
            "image_weights and image_lr are for training",
        ),
        ({"image_lr": -1.0}, "image_lr"),
        ({"config": timm_config(), "image_weights": "w.safetensors"}, "image_weights need mean and std"),
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
