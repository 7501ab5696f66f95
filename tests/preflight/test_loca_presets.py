"""What the presets of LOCA promise is what their runs do."""

from pathlib import Path
from typing import Any

import pytest
import timm
from support.pipeline import ROOT

from fieldmark.base.blocks import parse, parse_yaml
from fieldmark.contract.registry import load_method
from fieldmark.engine.schedule import learning_rate
from fieldmark.methods.loca.model.params import LocaParams

WITHOUT_MASKS = ("loca-imagenet1k", "loca-photos")


def read(name: str) -> tuple[str, dict[str, Any], LocaParams]:
    """Return the first lines of a preset as one, all of its blocks, and LOCA's."""
    text = Path(ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    blocks = parse_yaml(text, name)
    header = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return header, blocks, parse(LocaParams, blocks["loca"], "loca")


@pytest.mark.parametrize("name", WITHOUT_MASKS)
def test_every_variant_is_measured(name: str) -> None:
    """Without masks nothing is probed: `pretrained` and `supervised`, which predict no positions, would have no row."""
    header, _, params = read(name)
    assert all(variant.parts.mode.located for variant in load_method("loca").variants(params))
    for absent in ("probe", "`pretrained`", "`supervised`"):
        assert absent not in header


@pytest.mark.parametrize("name", WITHOUT_MASKS)
def test_the_weights_of_the_wiring_are_said_to_be_what_they_are(name: str) -> None:
    header, blocks, _ = read(name)
    assert "in21k" in timm.get_pretrained_cfg(blocks["backbones"]["vit"]["arch"]).tag
    assert "trained on the labels of ImageNet-21k" in header


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
