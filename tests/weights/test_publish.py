"""Published weights: half the bytes, the same network, and where they come from."""

import json

import pytest
import torch
from safetensors.torch import load_file
from support.clips import CONFIG, tiny_clip
from support.clips import SIDE as CLIP_SIDE
from support.tiny import RESNET, SIDE, VIT, tiny_resnet, tiny_vit

from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file
from fieldmark.towers.clip import create_clip, save_clip
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone
from fieldmark.weights.publish import Trained, halved, publish, read_metrics, read_seconds

ORIGIN = {"recipe": {"backbones": {"tiny": {"arch": "x"}}}, "metrics": {"recall@1": 0.5}, "seconds": 5400.0}


@pytest.mark.parametrize(
    ("build", "arch", "options"),
    [(tiny_vit, "vit_tiny_patch16_224", VIT), (tiny_resnet, "resnet10t", RESNET)],
)
def test_a_published_backbone_gives_the_same_features_to_half_precision(tmp_path, build, arch, options):
    backbone = build()
    save_backbone(backbone, tmp_path / "tiny")
    trained = Trained("tiny", tmp_path / "tiny/weights.safetensors", "network.", **ORIGIN)
    path = publish(trained, tmp_path / "published", "abc")
    again = create_backbone(NetworkParams(arch=arch, options=options, weights=str(path)), SIDE)
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, backbone.state_dict()[name], rtol=1e-3, atol=1e-7)
    images = torch.rand(2, 3, SIDE, SIDE)
    first, second = backbone.eval()(images), again.eval()(images)
    torch.testing.assert_close(second.feature_map, first.feature_map, rtol=0.05, atol=0.05)


def test_a_published_clip_gives_the_same_features_to_half_precision(tmp_path):
    clip = tiny_clip()
    save_clip(clip, tmp_path / "tiny")
    trained = Trained("tiny", tmp_path / "tiny/open_clip_model.safetensors", "", **ORIGIN)
    path = publish(trained, tmp_path / "published", "abc")
    again = create_clip(None, CONFIG, str(path), size=CLIP_SIDE, squash=True).eval()
    torch.testing.assert_close(
        again.encode_texts(["a bird"]), clip.encode_texts(["a bird"]), rtol=0.02, atol=0.02
    )
    images = torch.rand(2, 3, CLIP_SIDE, CLIP_SIDE)
    torch.testing.assert_close(again.encode_images(images), clip.encode_images(images), rtol=0.02, atol=0.02)


def test_the_file_beside_it_says_where_it_comes_from(tmp_path):
    save_backbone(tiny_vit(), tmp_path / "tiny")
    whole = tmp_path / "tiny/weights.safetensors"
    path = publish(Trained("tiny", whole, "network.", **ORIGIN), tmp_path / "published", "abc")
    told = json.loads(path.with_suffix(".json").read_text())
    assert (told["sha256"], told["revision"], told["hours"]) == (sha256_file(path), "abc", 1.5)
    assert (told["recipe"], told["metrics"]) == (ORIGIN["recipe"], ORIGIN["metrics"])
    assert told["parameters"] == sum(value.numel() for value in load_file(whole).values())
    assert path.stat().st_size < 0.75 * whole.stat().st_size
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_only_matrices_are_halved():
    assert halved(torch.rand(3, 3)).dtype == torch.float16
    assert torch.equal(halved(torch.tensor([1e-9])), torch.tensor([1e-9]))  # a variance, 0 in half precision
    assert halved(torch.tensor([[3]])).dtype == torch.int64


def test_what_is_absent_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="train it first"):
        publish(Trained("tiny", tmp_path / "none.safetensors", "", **ORIGIN), tmp_path, "abc")
    with pytest.raises(UserError, match="score the network first"):
        read_metrics(tmp_path / "none.json")


def test_seconds_are_those_of_the_live_curve(tmp_path):
    assert read_seconds(tmp_path) == 0.0
    (tmp_path / "metrics.json").write_text('{"seconds": 12.5, "step": 3}')
    assert read_seconds(tmp_path) == 12.5
