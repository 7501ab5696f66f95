"""What the presets of LOCA promise is what their runs do."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import timm
from ruamel.yaml import YAML
from support.pipeline import ROOT

from fieldmark.base.blocks import parse, parse_yaml
from fieldmark.contract.registry import load_method
from fieldmark.datasets.acquire.source import load_source
from fieldmark.datasets.data.batches.transforms import WindowParams
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


def test_segmenters_recipe_is_that_of_its_code() -> None:
    """R. Strudel et al., ICCV 2021, and its configuration for ADE20k: what the paper fine-tunes with."""
    _, blocks, params = read("loca-segmenter")
    dense, windows = params.dense, params.dense.windows
    assert windows == WindowParams()  # whose defaults are Segmenter's
    assert windows is not None
    assert (windows.side, windows.stride, windows.resize, windows.scale) == (512, 512, 512, (0.5, 2.0))
    assert (windows.one_label, windows.flip, windows.distort, windows.loss_stride) == (0.75, True, True, 1)
    assert (dense.decoder, dense.drop_path) == ("new", 0.1)
    assert dense.finetune is not None
    recipe = dense.finetune.recipe(20_210)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay, recipe.batch_size) == ("sgd", 0.9, 0.0, 8)
    assert recipe.steps == pytest.approx(160_000, rel=0.02)
    assert (recipe.schedule, recipe.power, recipe.warmup_steps) == ("poly", 0.9, 0)
    rates = [learning_rate(recipe, step) for step in (0, recipe.steps // 2, recipe.steps)]
    assert rates == pytest.approx([1e-3, (1e-3 - 1e-5) * 0.5**0.9 + 1e-5, 1e-5])
    assert blocks["datasets"]["photos"]["side"] >= windows.resize  # larger ones would be scaled up from less


def test_tables_and_figures_of_the_paper_are_asked_for_together() -> None:
    """Table 1: the localisation losses; Table 3: 1/32 to all labels; Figure 3: several eta, all fine-tuned."""
    header, _, params = read("loca-segmenter")
    variants = load_method("loca").variants(params)
    assert {"position", "zhai", "box"} <= {variant.name for variant in variants}
    assert len({one.parts.eta for one in variants if one.parts.mode.name == "LOCA"}) == 3
    assert params.dense.tuned is None
    assert params.dense.tuned_fractions == (1 / 32, 0.25, 1.0)
    [named] = re.findall(r"loca\.variants=\[(\S+)\] loca\.dense\.tuned=null", header)
    scaled = load_method("loca").variants(params.model_copy(update={"variants": tuple(named.split(","))}))
    assert {(one.parts.network, one.parts.fraction) for one in scaled} == {
        (network, fraction) for network in (None, "base") for fraction in (0.1, 0.3, 1.0)
    }


def test_locas_sweeps_of_the_readme_are_read(tmp_path: Path) -> None:
    """The commands of README.md, read the way `dvc exp run -S` reads them."""
    from dvc.utils.hydra import apply_overrides

    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("dvc exp run")]
    commands = [shlex.split(line, comments=True)[3:] for line in lines if "loca." in line]
    assert len(commands) >= 4
    for number, command in enumerate(commands):
        path = tmp_path / f"{number}.yaml"
        path.write_text((ROOT / "params.yaml").read_text())
        apply_overrides(path, [word for word in command if word != "-S"])
        changed = parse(LocaParams, parse_yaml(path.read_text(), "params")["loca"], "loca")
        load_method("loca").variants(changed)
