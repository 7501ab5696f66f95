"""What the presets of LOCA promise is what their runs do."""

from pathlib import Path
from typing import Any

import pytest
import timm
from ruamel.yaml import YAML
from support.pipeline import ROOT

from fieldmark.base.blocks import parse, parse_yaml
from fieldmark.datasets.acquire.source import load_source
from fieldmark.engine.schedule import learning_rate
from fieldmark.methods.loca.model.params import FIXED_OPTIONS, LocaParams
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.vision.backbones import create_backbone
from fieldmark.vision.official import OPTIONS

JUDGED_ELSEWHERE = ("loca-ade20k", "loca-imagenet1k", "loca-photos")


def read(name: str) -> tuple[str, dict[str, Any], LocaParams]:
    """Return the first lines of a preset as one, all of its blocks, and LOCA's."""
    text = Path(ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    blocks = parse_yaml(text, name)
    header = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return header, blocks, parse(LocaParams, blocks["loca"], "loca")


@pytest.mark.parametrize("name", JUDGED_ELSEWHERE)
def test_features_are_judged_on_masks_beside_others(name: str) -> None:
    """The pictures that are learnt from have no masks: every row of the table comes from those of `judge`."""
    header, blocks, params = read(name)
    judge = blocks["judge"]["loca"]
    [of_split] = [split["dataset"] for key, split in blocks["splits"].items() if key == judge["split"]]
    source = blocks["datasets"][judge["dataset"]]["source"]
    assert (of_split, source) == (judge["dataset"], "ade20k")
    assert load_source(source).promises["masks"]
    assert "LOCA" in (*params.variants, *judge["backbones"])
    assert {"supervised", "dino"} <= set(judge["backbones"])
    assert judge["backbones"] == [*blocks["backbones"]]
    assert "ADE20k" in header


@pytest.mark.parametrize("name", JUDGED_ELSEWHERE)
def test_networks_of_timm_are_what_they_are_said_to_be(name: str) -> None:
    """Like for like: labels of ImageNet-1k, not of ImageNet-21k, LOCA's architecture, the size of the judgement."""
    _, blocks, params = read(name)
    tags = {"supervised": "augreg_in1k", "mae": "mae", "dino": "dino"}
    for key, backbone in blocks["backbones"].items():
        arch, _, tag = backbone["arch"].partition(".")
        assert arch == params.arch
        assert backbone["images"]["side"] == params.dense.images.side
        assert backbone["options"]["dynamic_img_size"]
        if key != "LOCA":
            assert tag == tags[key]
            assert timm.get_pretrained_cfg(backbone["arch"]).tag == tag


def test_the_encoder_of_a_file_is_built_as_the_release_and_a_run_here_build_it() -> None:
    _, blocks, params = read("loca-ade20k")
    options = blocks["backbones"]["LOCA"]["options"]
    assert options == {**FIXED_OPTIONS, "img_size": params.views.reference_size}
    assert options == YAML(typ="safe", pure=True).load(OPTIONS)


def test_the_networks_take_the_pictures_of_the_judgement() -> None:
    """All of one shape: those of the preset for photographs, which are small."""
    _, blocks, params = read("loca-photos")
    for backbone in blocks["backbones"].values():
        item = {**backbone, "weights": None, "train": {"steps": 1, "lr": 1.0}}
        made = create_backbone(parse(BackboneParams, item, "backbone"), params.dense.images.side)
        assert (made.spec.dim, made.spec.stride) == (384, 16)


def test_the_differences_from_the_release_are_listed() -> None:
    header, _, params = read("loca-imagenet1k")
    assert f"one step ahead, {learning_rate(params.seeded, 0):.1e} at step 0 in place of 0" in header
    assert learning_rate(params.seeded, params.train.warmup_steps - 1) == params.train.lr
    listed = header.partition("What differs from the release:")[2].split(";")
    for number, of in enumerate(
        (
            "central 320 pixels",
            "one in a hundred",
            "blur blurs",
            "warm-up",
            "patches are drawn",
            "stochastic",
            "hue",
        )
    ):
        assert of in listed[number]
    assert "losses are means over the valid patches of all devices" in listed[4]
