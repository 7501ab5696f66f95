"""Presets: what they replace, what they ask for, and that each is the published recipe."""

import itertools
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from ruamel.yaml import YAML
from support.pipeline import ROOT, at, resolve

from fieldmark.base.blocks import read_yaml
from fieldmark.base.errors import UserError
from fieldmark.clip.schema import ClipParams
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import known_methods, load_distillation, load_method
from fieldmark.contract.variants import arms_of, read_arm
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.engine.schedule import learning_rate
from fieldmark.methods.irt.model.rivals import LossName
from fieldmark.methods.loca.model.encoder import build_encoder
from fieldmark.methods.loca.model.network import reference_patches
from fieldmark.methods.pma.model.method import check_feature_map
from fieldmark.preflight.check import check_params, read_method
from fieldmark.preflight.presets import list_presets, require_given, with_presets, with_settings
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.reporting.published import read_published
from fieldmark.towers.clip import create_clip
from fieldmark.vision.backbones import create_backbone, require_size

PRESETS = ROOT / "presets"
GIVEN = {  # what a user must give
    "frpt-aircraft": [],
    "frpt-cars196": ["datasets.cars196.cars196.path=/data/cars196"],
    "cprfl-coco-lt": [],
    "cprfl-coco-lt-prompts": [
        "prompts.glove.vectors.file=/data/glove.6B.300d.txt",
        "prompts.word2vec.vectors.file=/data/GoogleNews-vectors-negative300.bin.gz",
    ],
    "cprfl-photos": ["datasets.photos.folder.path=/data/photos"],
    "cprfl-voc-lt": [],
    "frpt-cub200": [],
    "frpt-photos": ["datasets.photos.folder.path=/data/photos"],
    "irt-cub200": [],
    "irt-cub200-losses": [],
    "irt-cub200-mobilenet": ["datasets.cub200.cub200.path=/data/cub", "backbones.mobilenet.weights=library"],
    "irt-cub200-models": [],
    "irt-cub200-pooling": [],
    "irt-inshop": ["datasets.inshop.inshop.path=/data/in-shop"],
    "irt-photos": ["datasets.photos.folder.path=/data/photos"],
    "irt-roxford5k": [],
    "irt-rparis6k": [],
    "irt-sfm120k": [],
    "irt-sfm120k-deit-b": [],
    "irt-sfm120k-resnet101": [],
    "irt-sop": [],
    "irt-sop-losses": [],
    "irt-sop-margin": [],
    "pma-aircraft": [],
    "pma-cars196": ["datasets.cars196.cars196.path=/data/cars"],
    "pma-cub200": [],
    "pma-cub200-mobilenet": [
        "datasets.cub200.cub200.path=/data/cub",
        "datasets.cub200.cub200.captions=/data/text_c10",
        "backbones.mobilenet.weights=library",
    ],
    "pma-cub200-vgg16": [],
    "pma-flowers102": [],
    "pma-photos": ["datasets.photos.folder.path=/data/photos"],
    "loca-ade20k": ["backbones.LOCA.weights=/data/loca_vbase_imnet1k"],
    "loca-imagenet1k": ["datasets.imagenet.folder.path=/data/imagenet/train"],
    "loca-masks": [
        "datasets.photos.masks.path=/data/photos",
        "datasets.photos.masks.labels=[sky,road]",
    ],
    "loca-segmenter": [
        "datasets.photos.masks.path=/data/photos",
        "datasets.photos.masks.labels=[sky,road]",
    ],
    "quick": [],
    "loca-photos": ["datasets.photos.folder.path=/data/photos"],
    "world-gpu": [],
    "world-pretrain": [],
    "world-scratch": [],
}
TEXT = """\
# About this file.

runtime:                  # changes no result
  device: auto            # auto or cpu

datasets:
  birds:                  # birds
    source: world
    world: {part: species}

splits:
  own: {dataset: birds, kind: retrieval}

irt:                      # a paper
  lambda: 0.7             # weight
  dim: null               # none
  images: {side: 128, jitter: 0.2}
  train:
    lr: 1e-4
"""
SMALL = """\
# What it is
# and more.
datasets:
  photos: {source: folder, folder: {path: "???"}}
irt:
  images: {side: 64}
  dim: 5
"""


@pytest.fixture
def presets(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def parsed(text):
    return Configuration(YAML(typ="safe", pure=True).load(text))


def test_no_preset_and_no_setting_change_nothing():
    text = (ROOT / "params.yaml").read_text()
    assert with_settings(text, []) == text
    assert with_settings(TEXT, []) == TEXT


def test_a_presets_blocks_replace_and_others_stay_with_their_comments(presets):
    assert with_presets(TEXT, ["small"], presets) == TEXT.replace(
        "  birds:                  # birds\n    source: world\n    world: {part: species}\n",
        '  photos: {source: folder, folder: {path: "???"}}\n',
    ).replace(TEXT[TEXT.index("  lambda") :], "  images: {side: 64}\n  dim: 5\n")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("frpt-photos", "frpt-cub200"),
        ("frpt-cub200", "frpt-photos"),
        ("loca-photos", "loca-masks"),
        ("irt-cub200-pooling", "irt-cub200"),
    ],
)
def test_nothing_is_left_of_a_preset_laid_before(first, second):
    base = (ROOT / "params.yaml").read_text()
    after = with_presets(with_presets(base, [first], PRESETS), [second], PRESETS)
    second_only, alone = (
        YAML(typ="safe", pure=True).load(text) for text in (after, with_presets(base, [second], PRESETS))
    )
    assert second_only == alone


def test_a_preset_twice_equals_once(presets):
    once = with_presets(TEXT, ["small"], presets)
    assert with_presets(once, ["small"], presets) == once


def test_several_presets_add_up_and_the_last_wins(presets):
    (presets / "more.yaml").write_text(
        "datasets:\n  photos: {folder: {csv: a.csv}}\n  others: {source: sop}\nirt: {dim: 7}\n"
    )
    both = YAML(typ="safe", pure=True).load(with_presets(TEXT, ["small", "more"], presets))
    photos = {"source": "folder", "folder": {"path": "???", "csv": "a.csv"}}
    assert both["datasets"] == {"photos": photos, "others": {"source": "sop"}}
    assert both["irt"]["dim"] == 7
    assert both["irt"]["images"] == {"side": 64}


def test_two_methods_share_ones_own_photographs(tmp_path):
    given = GIVEN["irt-photos"]
    text = with_settings(
        with_presets((ROOT / "params.yaml").read_text(), ["irt-photos", "frpt-photos"], PRESETS), given
    )
    params = parsed(text)
    check_params(params)
    assert list(params.section("methods")) == ["irt", "frpt"]
    assert list(params.section("datasets")) == ["photos"]


def test_an_unknown_preset_is_refused_with_the_nearest_one(presets):
    with pytest.raises(
        UserError, match=r"there is no preset 'smal'; did you mean 'small'\? \(`make presets` says"
    ):
        with_presets(TEXT, ["smal"], presets)
    (presets / "bad.yaml").write_text("irt: {")
    with pytest.raises(UserError, match=r"bad\.yaml is not valid YAML"):
        with_presets(TEXT, ["bad"], presets)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("irt.lambda=0.3", "lambda: 0.3             # weight"),
        ("irt.lambda=1e-3", "lambda: 1e-3            # weight"),
        ("irt.lambda=null", "lambda: null            # weight"),
        ("irt.lambda=[1, 2]", "lambda: [1, 2]          # weight"),
        ("irt.lambda=/my photos/a=b", "lambda: /my photos/a=b  # weight"),
        ("irt.images.side=64", "images: {side: 64, jitter: 0.2}"),
        ("irt.images.erase=0.1", "images: {side: 128, jitter: 0.2, erase: 0.1}"),  # absent: a default so far
    ],
)
def test_settings_are_yaml_and_keep_comments(setting, line):
    changed = with_settings(TEXT, [setting])
    assert line in [written.strip() for written in changed.splitlines()]
    assert len(changed.splitlines()) == len(TEXT.splitlines())


def test_a_setting_may_open_an_optional_block():
    changed = with_settings(TEXT, ["irt.memory.start=7", "datasets.birds.expect.min_side=9"])
    assert "  memory:\n    start: 7\n" in changed
    assert "    expect:\n      min_side: 9\n" in changed
    null = with_settings("frpt:\n  source: null  # none\n", ["frpt.source.side=300"])
    assert YAML(typ="safe", pure=True).load(null) == {"frpt": {"source": {"side": 300}}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rit.lambda=1", "unknown parameter rit; did you mean 'irt'?"),
        ("datasets.bird.side=1", "unknown parameter datasets.bird; did you mean 'birds'?"),
        ("splits.other={}", "unknown parameter splits.other"),
        ("irt.lambda.value=1", "unknown parameter irt.lambda.value: irt.lambda is a value, not a block"),
        ("lambda", "'lambda' is no setting; write irt.lambda=0.3"),
        ("irt.dim=", "'irt.dim=' is no setting; write irt.lambda=0.3, or irt.dim=null for none"),
        ("irt.dim=[1", r"the value of 'irt.dim=\[1' is not valid YAML; quote it"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(setting, message):
    with pytest.raises(UserError, match=message) as caught:
        with_settings(TEXT, [setting])
    assert "\n" not in str(caught.value)


def test_what_only_the_user_can_give_is_asked_for(presets):
    text = with_presets(TEXT, ["small"], presets)
    with pytest.raises(UserError) as caught:
        require_given(text, ["small"])
    path = "datasets.photos.folder.path"
    assert str(caught.value) == f"preset small needs {path}; give it with SET='{path}=...'"
    require_given(with_settings(text, [f"{path}=/photos"]), ["small"])
    with pytest.raises(
        UserError, match=r"needs datasets\.a and irt\.b; give them with SET='datasets\.a=\.\.\. irt"
    ):
        require_given("datasets: {a: '???'}\nirt: {b: '???'}", ["small"])


def test_every_preset_is_tested_here():
    assert GIVEN.keys() == list_presets(PRESETS).keys()
    assert all(list_presets(PRESETS).values())  # each says what it is


@pytest.fixture(params=sorted(GIVEN))
def composed(request, tmp_path):
    """Each preset with what it wants, laid over the parameters as they stand."""
    name = request.param
    text = with_settings(with_presets((ROOT / "params.yaml").read_text(), [name], PRESETS), GIVEN[name])
    require_given(text, [name])
    (tmp_path / "params.yaml").write_text(text)
    return name, tmp_path / "params.yaml"


def test_every_preset_parses_and_resolves_the_pipeline(composed):
    name, path = composed
    params = read_yaml(path)
    method = name.partition("-")[0]
    methods = [method] if method in known_methods() else [*params["methods"]]
    check_params(Configuration(params))
    stages = resolve(path.parent, path)
    trained = {f"{stage}@{method}" for stage in ("train", "evaluate") for method in methods}
    assert {"check", "report", *trained} <= stages.keys()
    for stage in stages.values():
        for key in stage.params:
            at(params, key)  # DVC stops at an absent one


def test_the_quick_preset_has_every_kind_of_stage_and_every_method(tmp_path):
    text = with_presets((ROOT / "params.yaml").read_text(), ["quick"], PRESETS)
    (tmp_path / "params.yaml").write_text(text)
    stages = resolve(tmp_path, tmp_path / "params.yaml").values()
    assert {stage.kind for stage in stages} == {*read_yaml(ROOT / "dvc.yaml")["stages"]}
    assert {stage.item for stage in stages if stage.kind == "train"} == {*known_methods()}
    assert "mean nothing" in parsed(text).note()


def blocks_called(name, value):
    """Yield every block of that name at any depth of `value`."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from [inner] if key == name else []
            yield from blocks_called(name, inner)


def test_the_preset_for_a_gpu_needs_no_download_and_trains_every_method_from_five_seeds(tmp_path):
    text = with_presets((ROOT / "params.yaml").read_text(), ["world-gpu"], PRESETS)
    (tmp_path / "params.yaml").write_text(text)
    params = read_yaml(tmp_path / "params.yaml")
    stages = resolve(tmp_path, tmp_path / "params.yaml").values()
    # It has no other data set on which what was trained could be judged.
    assert {stage.kind for stage in stages} == {*read_yaml(ROOT / "dvc.yaml")["stages"]} - {"transfer"}
    assert {item["source"] for item in params["datasets"].values()} == {"world"}
    networks = [*params["backbones"].values(), *params["clip_models"].values()]
    assert not any(
        {"weights", "pretrained"} & item.keys() for item in networks
    )  # from nothing, on other classes
    parts = [params["datasets"][item["dataset"]]["world"]["part"] for item in networks]
    assert parts == ["base", "base", "base_scenes"]
    assert {*params["methods"]} == {*known_methods()}
    seeded = [*(params[name] for name in params["methods"]), *params["distill"].values()]
    assert all(len(block["seeds"]) == 5 for block in seeded)
    teacher, student = params["pma"]["seeds"], params["distill"]["pma"]["seeds"]
    assert not set(teacher) & set(student)
    trains = [*blocks_called("train", params), *blocks_called("finetune", params)]
    assert len(trains) == 10
    assert {train["precision"] for train in trains} == {"bf16"}


def test_the_networks_of_the_preset_for_a_gpu_take_the_pictures_of_its_methods():
    """A run would tell only after an hour: PMA wants a map with even sides, LOCA whole patches."""
    params = parsed(with_presets((ROOT / "params.yaml").read_text(), ["world-gpu"], PRESETS))
    items = {name: params.item("backbones", name, BackboneParams) for name in params.section("backbones")}
    networks = {
        name: create_backbone(item, item.images.side).requires_grad_(False) for name, item in items.items()
    }
    for name, wired in params.section("methods").items():
        side = read_method(params, name).images.side
        require_size(networks[wired["backbone"].removeprefix("backbones/")], side)
    pma, students = read_method(params, "pma"), params.section("distill")["pma"]
    for side in (pma.images.side, students["images"]["side"]):
        check_feature_map(networks["resnet"], side, pma.stages)
    loca = read_method(params, "loca")
    assert reference_patches(loca, build_encoder(loca)) >= loca.views.random_tokens
    clip = params.item("clip_models", "small", ClipParams)
    made = create_clip(None, clip.config, None, size=clip.images.side, squash=True)
    assert made.requires_grad_(False).encode_images(torch.zeros(1, 3, *2 * [clip.images.side])).shape == (
        1,
        made.dim,
    )


LAMBDAS = (0, 3, 5, 7, 10)  # tenths
GRID = {  # recall@1 of IRT's Table 5, by network and tenths of the margin
    "deit": {
        1: (70.3, 70.7, 71.4, 70.1, 71.1), 3: (82.5, 83.0, 83.0, 83.1, 83.1), 5: (83.0, 83.5, 83.6, 84.0, 84.0),
        7: (82.9, 83.8, 84.1, 84.2, 83.8), 9: (82.6, 84.4, 80.6, 71.2, 41.5),
    },
    "resnet50": {
        1: (78.9, 79.2, 79.1, 78.8, 78.8), 3: (79.3, 81.3, 81.7, 81.7, 81.7), 5: (79.8, 80.7, 81.0, 81.2, 81.3),
        7: (79.3, 80.5, 81.2, 81.1, 78.5), 9: (79.1, 80.0, 31.4, 13.4, 9.1),
    },
}  # fmt: skip
TABLE_5 = {
    {"deit-m5-l0": "L", "deit-m5-l7": "R"}.get(name := f"{net}-m{margin}-l{weight}", name): value
    for net, margins in GRID.items()
    for margin, values in margins.items()
    for weight, value in zip(LAMBDAS, values, strict=True)
}
PAPERS = {  # the first number of each variant that the preset of a paper brings along
    "cprfl-coco-lt": {"focal": 49.46, "random": 63.9, "CPRFL": 66.69},
    "cprfl-coco-lt-prompts": {
        **{"random": 63.9, "CPRFL": 66.7, "CPRFL@ViT-B-16": 66.8},
        **{"CPRFL@glove": 65.6, "CPRFL@word2vec": 65.3},
    },
    "cprfl-voc-lt": {"focal": 73.88, "CPRFL": 86.28},
    "frpt-aircraft": {
        **{"finetune": 70.1, "FRPT": 77.6, "finetune-resnet101": 69.7, "FRPT-resnet101": 76.2},
    },
    "frpt-cars196": {
        **{"frozen": 58.9, "finetune": 84.4, "DPP": 72.7},
        **{"CAH": 76.9, "attention": 89.6, "FRPT": 91.1},
        **{"finetune-resnet101": 85.1, "FRPT-resnet101": 90.4},
    },
    "frpt-cub200": {
        **{"frozen": 44.9, "finetune": 69.5, "DPP": 55.7, "CAH": 61.8, "attention": 72.2, "FRPT": 74.3},
        **{"finetune-10": 63.1, "FRPT-10": 66.6, "finetune-5": 59.7, "FRPT-5": 62.8},
        **{"activation": 63.7, "box": 67.6, "finetune-resnet101": 70.9, "FRPT-resnet101": 75.6},
        **{"finetune-10-resnet101": 64.7, "FRPT-10-resnet101": 68.9},
        **{"finetune-5-resnet101": 61.5, "FRPT-5-resnet101": 65.2},
    },
    "irt-cub200": {"O": 58.5, "L": 74.2, "R": 74.7},
    "irt-cub200-losses": {"L": 74.2},
    "irt-cub200-models": {"O": 58.5, "L": 74.2, "R": 74.7, "R-128": 72.6, "R-distilled": 76.6},
    "irt-cub200-pooling": {"L": 74.4, "L-average": 72.8, "L-max": 69.2, "L-gem": 69.1},
    "irt-inshop": {"O": 31.3, "L": 90.3, "R": 91.5},
    "irt-roxford5k": {"O": 20.3},
    "irt-rparis6k": {"O": 50.2},
    "irt-sfm120k": {"O": 20.3, "L": 32.7, "R": 34.0},  # of the first of its benchmarks
    "irt-sfm120k-deit-b": {"L": 50.5, "R": 55.1},
    "irt-sfm120k-resnet101": {"L": 31.7},
    "irt-sop": {"O": 52.8, "L": 83.0, "R": 84.0},
    "irt-sop-losses": {
        **{"L": 83.0, "deit-nsoftmax": 80.8, "deit-snca": 81.1},
        **{"resnet50-contrastive": 79.8, "resnet50-nsoftmax": 79.5, "resnet50-snca": 78.0},
    },
    "irt-sop-margin": TABLE_5,
    "loca-imagenet1k": {"LOCA": 46.2},
    "pma-cub200": {"vision": 87.5, "PMA": 88.7},
    "pma-cub200-vgg16": {"vision": 86.8, "PMA": 88.2},
}
SILENT = {  # recipes of papers whose numbers are not public, or only drawn
    "loca-ade20k",  # which schedule the published file has is not said: 46.2 or 48.0
    "pma-aircraft",
    "pma-cars196",
    "pma-flowers102",
}
MEASURES = {"irt": "recall@1", "frpt": "recall@1", "cprfl": "map", "pma": "top1", "loca": "miou_finetune"}
BENCHMARKS = {"roxford5k", "rparis6k"}  # their measure is map_medium


def test_every_preset_of_a_paper_brings_its_numbers():
    names = [name for name in GIVEN if re.search("arXiv|IEEE", list_presets(PRESETS)[name])]
    assert {*names} == {*PAPERS, *SILENT}
    for name in GIVEN:
        published = read_published(read_yaml(PRESETS / f"{name}.yaml"))
        found = {row.variant: row.value for rows in reversed(published.values()) for row in reversed(rows)}
        assert found == PAPERS.get(name, {}), name
        for method, rows in published.items():
            landmarks = {method.partition(" on ")[2], name.removeprefix("irt-")} & BENCHMARKS
            assert rows[0].measure == ("map_medium" if landmarks else MEASURES[method])
            assert all(row.table and row.tolerance <= 3 for row in rows)


def test_a_papers_numbers_go_with_its_preset():
    text = with_presets((ROOT / "params.yaml").read_text(), ["irt-cub200"], PRESETS)
    assert read_published(parsed(text).content).keys() == {"irt"}
    assert not read_published(parsed(with_presets(text, ["irt-photos"], PRESETS)).content)
    both = with_presets(text, ["irt-cub200", "frpt-cub200"], PRESETS)
    assert read_published(parsed(both).content).keys() == {"irt", "frpt"}
    wrong = with_settings(text, ["expected.irt=[{variant: R}]"])
    with pytest.raises(UserError, match=r"^parameter expected\.irt\.0\.measure is missing$"):
        check_params(parsed(wrong))


def trained(params, where):
    """The names of what is scored of a method, there or in an item of `transfer`: variants, arms and students."""
    method, _, item = where.partition(" on ")
    assert not item or params.section("transfer")[item]["method"] == method
    names = [variant.name for variant in load_method(method).variants(read_method(params, method))]
    names += arms_of(params, method)
    if method in params.section("distill"):
        names += params.item("distill", method, load_distillation(method).PARAMS).students
    return names


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_a_papers_numbers_are_of_variants_that_its_preset_trains(name):
    params = parsed(with_presets((ROOT / "params.yaml").read_text(), [name], PRESETS))
    for method, rows in read_published(params.content).items():
        assert {row.variant for row in rows} <= {*trained(params, method)}


def test_fewer_variants_than_a_paper_has_numbers_for_may_be_trained():
    text = with_presets((ROOT / "params.yaml").read_text(), ["irt-cub200"], PRESETS)
    check_params(parsed(with_settings(text, ["irt.variants=[O,L]"])))


def test_a_note_goes_with_its_preset(presets):
    (presets / "noted.yaml").write_text("# Noted\nnote: Of this preset.\n")
    noted = with_presets(TEXT, ["noted"], presets)
    assert parsed(noted).note() == "Of this preset."
    assert parsed(with_presets(noted, ["small"], presets)).note() == ""
    assert parsed(with_presets(noted, [], presets)).note() == "Of this preset."


def test_every_preset_wants_what_it_needs():
    for name, given in GIVEN.items():
        text = with_presets((ROOT / "params.yaml").read_text(), [name], PRESETS)
        if given:
            with pytest.raises(UserError, match=given[0].partition("=")[0]):
                require_given(text, [name])
        else:
            require_given(text, [name])


@pytest.mark.parametrize(
    ("name", "steps", "memory", "ks"),
    [
        ("irt-cub200", 2_000, (1.0, 0, None), [1, 2, 4, 8]),
        ("irt-sop", 35_000, (1.0, 1000, None), [1, 10, 100, 1000]),
        ("irt-cub200-models", 2_000, (1.0, 0, None), [1, 2, 4, 8]),
        ("irt-cub200-pooling", 2_000, (1.0, 0, None), [1, 2, 4, 8]),
        ("irt-cub200-losses", 2_000, (1.0, 0, None), [1, 2, 4, 8]),
        ("irt-sop-losses", 35_000, (1.0, 1000, None), [1, 10, 100, 1000]),
        ("irt-sop-margin", 35_000, (1.0, 1000, None), [1, 10, 100, 1000]),
        ("irt-inshop", 35_000, (0.2, 0, 0.999), [1, 10, 20, 30]),
    ],
)
def test_the_papers_recipes_are_exact_whatever_was_set_before(name, steps, memory, ks):
    before = with_settings(
        (ROOT / "params.yaml").read_text(),
        ["irt.train.precision=bf16", "irt.train.ema=0.9", "irt.train.accumulate=2", "irt.images.erase=0.5"],
    )
    text = with_settings(with_presets(before, [name], PRESETS), GIVEN[name])
    params = parsed(text)
    irt = read_method(params, "irt")
    train, images = irt.train, irt.images
    assert (train.steps, train.batch_size, train.optimizer) == (steps, 64, "adamw")
    assert (train.lr, train.weight_decay, train.schedule, train.warmup_steps) == (3e-5, 5e-4, "constant", 0)
    assert (train.precision, train.ema, train.accumulate, train.clip_norm) == ("fp32", None, 1, None)
    assert (images.resize, images.shape, images.crop, images.side) == (256, "square", "random", 224)
    assert (images.flip, images.jitter, images.erase) == (True, 0.0, 0.0)
    assert (irt.lambda_, irt.margin, irt.pooling, irt.dim) == (0.7, 0.5, "cls", None)
    assert (irt.memory.fraction, irt.memory.start, irt.memory.momentum) == memory
    assert params.section("splits")["retrieval"]["ks"] == ks
    [item] = params.section("datasets").values()
    assert (item["side"], item["shape"], item["encoding"]) == (256, "square", "raw")  # resized once


def irt_rows(name):
    """Return the block of every variant and arm of a preset, with the architecture it starts from."""
    params = parsed(with_presets((ROOT / "params.yaml").read_text(), [name], PRESETS))
    arches = {f"backbones/{key}": item["arch"] for key, item in params.section("backbones").items()}
    irt = load_method("irt")
    rows = [
        (arches[params.section("methods")["irt"]["backbone"]], variant.params)
        for variant in irt.variants(read_method(params, "irt"))
    ]
    arms = [read_arm(params, arm) for arm in params.section("arms")]
    return [*rows, *((arches[arm.wiring.backbone], arm.variant.params) for arm in arms)]


def test_the_grid_of_irts_table_5_is_whole():
    cells = {(arch, one.margin, one.lambda_) for arch, one in irt_rows("irt-sop-margin") if one.train.steps}
    margins, weights = (0.1, 0.3, 0.5, 0.7, 0.9), (0, 0.3, 0.5, 0.7, 1)
    arches = ("deit_small_patch16_224", "resnet50.tv_in1k")
    assert cells == set(itertools.product(arches, margins, weights))
    assert all(one.gradients for _, one in irt_rows("irt-sop-margin"))


def test_irts_models_poolings_and_losses_are_those_of_the_paper():
    assert {arch for arch, _ in irt_rows("irt-cub200-models")} == {
        *("deit_small_patch16_224", "deit_small_distilled_patch16_224", "deit_base_patch16_224"),
        *("deit_base_distilled_patch16_224", "resnet50.tv_in1k", "resnet101.tv_in1k"),
    }
    assert {one.dim for _, one in irt_rows("irt-cub200-models")} == {None, 128}
    pooled = {one.pooling for _, one in irt_rows("irt-cub200-pooling") if not one.lambda_}
    assert pooled == {"cls", "average", "max", "gem"}
    for name in ("irt-cub200-losses", "irt-sop-losses"):
        compared = {(arch, one.loss) for arch, one in irt_rows(name) if not one.lambda_}
        assert len(compared) == 2 * len(get_args(LossName))


@pytest.mark.parametrize(
    ("name", "pictures"), [("frpt-cub200", 5864), ("frpt-cars196", 8054), ("frpt-aircraft", 5000)]
)
def test_frpts_recipe_is_exact_whatever_was_set_before(name, pictures):
    before = with_settings(
        (ROOT / "params.yaml").read_text(),
        ["frpt.train.precision=bf16", "frpt.train.ema=0.9", "frpt.pooling=gem", "frpt.images.scale=[0.5, 1]"],
    )
    text = with_settings(with_presets(before, [name], PRESETS), GIVEN[name])
    block = read_method(parsed(text), "frpt")
    assert (block.train.passes, block.train.drop_passes) == (500, 50)
    frpt = block.for_pictures(pictures)
    train, images = frpt.train, frpt.images
    assert (train.optimizer, train.momentum, train.weight_decay, train.batch_size) == ("sgd", 0.9, 1e-4, 32)
    assert (train.lr, train.schedule, train.drop, train.warmup_steps) == (1e-3, "drops", 0.9, 0)
    assert (train.steps, train.drop_every) == (round(500 * pictures / 32), 50 * pictures // 32)
    assert (train.precision, train.ema, train.accumulate, train.clip_norm) == ("fp32", None, 1, None)
    assert (images.resize, images.shape, images.crop, images.side) == (256, "square", "random", 224)
    assert (frpt.stage, frpt.kernel_size, frpt.reduction, frpt.pooling) == (1, 31, 8, "average")
    assert (frpt.grid, frpt.fwhm, frpt.padding, frpt.label_smoothing) == (31, 13, 30, 0)
    assert (frpt.prompt_lr, frpt.backbone_lr) == (1, 1)
    params = parsed(text)
    [item] = params.section("datasets").values()
    squares = name != "frpt-cub200"  # box, of CUB, cuts original pictures
    assert (item["side"], item["encoding"]) == ((256, "raw") if squares else (None, "jpeg"))
    archs = {item: raw["arch"] for item, raw in params.section("backbones").items()}
    assert archs == {"resnet50": "resnet50.tv_in1k", "resnet101": "resnet101.tv_in1k"}
    arms = [read_arm(params, arm) for arm in params.section("arms")]
    assert {arm.wiring.backbone for arm in arms} == {"backbones/resnet101"}
    again = {(arm.variant.name, arm.variant.parts.shots) for arm in arms}
    few = {(f"{name}-{shots}", shots) for name in ("finetune", "FRPT") for shots in frpt.shots}
    assert again == {("finetune", None), ("FRPT", None), *few}
    assert frpt.shots == ((10, 5) if name == "frpt-cub200" else ())


@pytest.mark.parametrize(
    ("name", "pictures", "reads"),
    [
        ("pma-cub200", 5994, True),
        ("pma-cub200-vgg16", 5994, True),
        ("pma-flowers102", 2040, True),
        ("pma-cars196", 8144, False),
        ("pma-aircraft", 6667, False),
    ],
)
def test_pmas_readings_are_exact_whatever_was_set_before(name, pictures, reads):
    before = with_settings(
        (ROOT / "params.yaml").read_text(),
        [
            "pma.qrm=two",
            "pma.stages=5",
            "pma.train.precision=bf16",
            "pma.captions=2",
            "pma.images.jitter=0.3",
        ],
    )
    text = with_settings(with_presets(before, [name], PRESETS), GIVEN[name])
    params = parsed(text)
    pma = read_method(params, "pma").for_pictures(pictures)
    student = params.item("distill", "pma", load_distillation("pma").PARAMS).for_pictures(pictures)
    assert (pma.stages, pma.qrm, pma.part_proj, pma.text_mask_threshold) == (3, "one", "conv1x1", "uniform")
    assert (pma.word_dim, pma.phrase_dim, pma.stage_dim, pma.dropout) == (300, 512, 512, 0.5)
    assert (pma.captions, pma.captions_given, pma.aux_stage_loss) == ("all", None, 0)
    assert (student.temperature, student.label_weight, student.view) == (1, 0, "same")
    for recipe in (pma, student):
        train, images = recipe.train, recipe.images
        assert (train.optimizer, train.lr, recipe.backbone_lr, train.weight_decay) == ("sgd", 1e-2, 0.1, 1e-4)
        assert (train.steps, train.warmup_steps) == (round(100 * pictures / 16), round(5 * pictures / 16))
        assert (train.schedule, train.batch_size, train.precision) == ("cosine", 16, "fp32")
        assert (images.side, images.resize, images.crop, images.flip) == (448, 512, "random", True)
        assert images.jitter == 0
    assert student.teacher == ("PMA" if reads else "vision")
    assert ("text" in pma.variants) == ("PMA" in pma.variants) == reads


def test_an_arm_is_one_setting(tmp_path):
    """The SET that the README documents, as the shell hands it on."""
    [line] = re.findall(r"""^make repro SET='("arms=.*")'$""", (ROOT / "README.md").read_text(), re.MULTILINE)
    text = with_settings((ROOT / "params.yaml").read_text(), shlex.split(line))
    (tmp_path / "params.yaml").write_text(text)
    check_params(Configuration.read(tmp_path / "params.yaml"))
    stages = resolve(tmp_path, tmp_path / "params.yaml")
    assert "models/backbones/resnet" in stages["arm@L-resnet"].deps
    assert "models/irt/arms/L-resnet" in stages["arm@L-resnet"].outs


def test_pmas_phrases_by_a_clip_are_one_setting(tmp_path):
    """The SET that the preset documents."""
    [line] = re.findall(r'SET="(clip_models=.*)"$', (PRESETS / "pma-cub200.yaml").read_text(), re.MULTILINE)
    text = with_presets((ROOT / "params.yaml").read_text(), ["pma-cub200"], PRESETS)
    (tmp_path / "params.yaml").write_text(with_settings(text, shlex.split(line)))
    params = Configuration.read(tmp_path / "params.yaml")
    check_params(params)
    assert read_method(params, "pma").phrase_encoder == "clip"
    stages = resolve(tmp_path, tmp_path / "params.yaml")
    assert "models/clip_models/RN50" in stages["phrases@cub200"].deps
    assert "models/clip_models/RN50" in stages["clip@RN50"].outs


def test_locas_recipe_is_exact_whatever_was_set_before():
    before = with_settings(
        (ROOT / "params.yaml").read_text(),
        ["loca.train.precision=bf16", "loca.eta=0.5", "loca.views.blur=null", "loca.train.accumulate=4"],
    )
    text = with_settings(with_presets(before, ["loca-imagenet1k"], PRESETS), GIVEN["loca-imagenet1k"])
    loca = read_method(parsed(text), "loca")
    train, views = loca.train, loca.views
    assert (train.steps, train.batch_size, train.optimizer, train.clip_norm) == (
        100 * 1251,
        1024,
        "adamw",
        1.0,
    )
    assert (train.lr, train.weight_decay, train.schedule, train.final) == (1e-3, 0.1, "cosine", 0.01)
    assert (train.warmup_steps, train.precision, train.ema, train.accumulate) == (15 * 1251, "fp32", None, 1)
    assert (loca.arch, loca.options, loca.drop_path, loca.momentum) == (
        "vit_base_patch16_224",
        None,
        0.1,
        0.996,
    )
    assert (loca.eta, loca.masking) == (0.8, "consecutive")
    assert views == type(views)()  # the block's defaults are the release's, its blur as meant
    assert loca.head == type(loca.head)()


def test_locas_ablation_is_one_setting(tmp_path):
    """The command that params.yaml documents, read the way `dvc exp run -S` reads it."""
    from dvc.utils.hydra import apply_overrides

    text = (ROOT / "params.yaml").read_text()
    [setting] = re.findall(r"dvc exp run -S '(loca\.variants=\S+)'", text)
    (tmp_path / "params.yaml").write_text(text)
    apply_overrides(tmp_path / "params.yaml", [setting])
    loca = read_method(Configuration.read(tmp_path / "params.yaml"), "loca")
    variants = load_method("loca").variants(loca)
    assert {(variant.parts.mode.name, variant.parts.eta) for variant in variants} >= {
        *((mode, eta) for mode in ("position", "LOCA") for eta in (0.0, 0.5, 0.8)),
        ("feature", loca.eta),
        ("random", loca.eta),
    }


@pytest.mark.parametrize(
    ("name", "pictures", "lr", "balance"),
    [("cprfl-voc-lt", 1142, 5e-5, (0.3, 5.0)), ("cprfl-coco-lt", 1909, 1e-5, (0.2, 2.0))],
)
def test_cprfls_recipes_are_exact_whatever_was_set_before(name, pictures, lr, balance):
    before = with_settings(
        (ROOT / "params.yaml").read_text(),
        ["cprfl.train.accumulate=2", "cprfl.train.freeze_batchnorm=true", "cprfl.images.jitter=0.5"],
    )
    params = parsed(with_presets(before, [name], PRESETS))
    cprfl = read_method(params, "cprfl").for_pictures(pictures)
    train, images = cprfl.train, cprfl.images
    assert (train.optimizer, train.lr, train.weight_decay, train.batch_size) == ("adamw", lr, 1e-4, 32)
    assert train.steps == round(30 * pictures / 32)
    assert (train.schedule, train.rise, train.final, train.warmup_steps) == ("onecycle", 0.1, 4e-6, 0)
    assert (train.ema, train.accumulate, train.clip_norm, train.freeze_batchnorm) == (0.998, 1, None, False)
    assert (images.side, images.resize, images.shape, images.crop) == (448, 448, "square", "centre")
    assert (images.flip, images.cutout, images.augment, images.jitter, images.erase) == (False, 0.5, 2, 0, 0)
    assert (cprfl.dim, cprfl.tau, cprfl.heads, cprfl.head_dim, cprfl.mlp_dim, cprfl.depth) == (
        2048,
        0.5,
        8,
        512,
        2048,
        1,
    )
    assert (cprfl.balance.gamma, cprfl.balance.neg_scale, cprfl.dropout, cprfl.backbone_lr) == (
        *balance,
        0.1,
        0.1,
    )
    assert cprfl.asymmetric.model_dump() == {"gamma_pos": 0, "gamma_neg": 4, "clip": 0.05}
    [backbone] = params.section("backbones").values()
    assert (backbone["arch"], backbone["mean"], backbone["std"]) == (
        "resnet101.tv_in1k",
        [0, 0, 0],
        [1, 1, 1],
    )
    [clip], [prompts] = params.section("clip_models").values(), params.section("prompts").values()
    assert (clip["arch"], clip["pretrained"], prompts["templates"]) == (
        "RN50",
        "openai",
        ["a photo of a {}."],
    )
    split = params.section("splits")["longtail"]
    assert (split["by"], split["head"], split["tail"], split["val_fraction"]) == ("source", 100, 20, 0)
    assert [item[item["source"]]["lists"] for item in params.section("datasets").values()] == ["published"]


@pytest.mark.parametrize(
    ("name", "side", "pooling", "variants"),
    [
        ("irt-sfm120k", 224, "cls", ("O", "L", "R")),
        ("irt-sfm120k-deit-b", 384, "cls", ("O", "L", "R")),
        ("irt-sfm120k-resnet101", 224, "gem", ("O", "L")),
    ],
)
def test_the_recipe_for_landmarks_is_exact_whatever_was_set_before(name, side, pooling, variants):
    before = with_settings(
        (ROOT / "params.yaml").read_text(),
        ["irt.train.precision=bf16", "irt.train.ema=0.9", "irt.memory.fraction=1.0", "irt.images.jitter=0.5"],
    )
    params = parsed(with_presets(before, [name], PRESETS))
    irt = read_method(params, "irt")
    train, images = irt.train, irt.images
    rounds = irt.tuples.pairs * irt.tuples.length / train.batch_size
    assert (train.batch_size, irt.tuples.length, rounds, train.steps) == (35, 7, 400, 100 * 400)
    assert (train.optimizer, train.lr, train.weight_decay, train.warmup_steps) == ("adam", 5e-7, 1e-6, 0)
    assert (irt.tuples.negatives, irt.tuples.pool, irt.memory.fraction) == (5, 22_000, 0)
    assert (irt.margin, irt.lambda_, irt.reduction) == (0.85, 4.0, "sum")
    for done in range(3):  # rounds
        rate = learning_rate(irt.seeded, 400 * done + 399)
        assert rate == pytest.approx(5e-7 * math.exp(-0.01 * done))
    assert (images.side, images.resize, images.shape, images.crop) == (side, None, "square", "centre")
    assert (images.flip, images.jitter, images.erase) == (False, 0, 0)
    assert (train.precision, train.ema, train.accumulate, train.clip_norm) == ("fp32", None, 1, None)
    assert (irt.pooling, irt.variants) == (pooling, variants)
    [backbone] = params.section("backbones").values()
    assert (backbone["images"]["side"], backbone["pooling"]) == (side, pooling)
    judged = params.section("transfer")
    assert {item["split"] for item in judged.values()} == {"roxford5k", "rparis6k"} == {*judged}
    assert {params.section("splits")[name]["kind"] for name in judged} == {"landmarks"}


def test_the_settings_that_presets_of_landmarks_document_are_right():
    for name in ("irt-sfm120k", "irt-sfm120k-deit-b", "irt-sfm120k-resnet101"):
        documented = re.findall(r"SET='([^']+)'", (PRESETS / f"{name}.yaml").read_text())
        assert len(documented) >= 3
        text = with_presets((ROOT / "params.yaml").read_text(), [name], PRESETS)
        for settings in documented:
            check_params(parsed(with_settings(text, settings.split())))


def script(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "src/stages/preset.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_writes_only_what_is_right(tmp_path):
    (tmp_path / "presets").symlink_to(PRESETS)
    before = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(before)
    refused = script(tmp_path, "irt-photos", *GIVEN["irt-photos"], "irt.lamda=0.3")
    assert (refused.returncode, refused.stderr) == (
        1,
        "error: unknown parameter irt.lamda; did you mean 'lambda'?\n",
    )
    assert (tmp_path / "params.yaml").read_text() == before
    done = script(tmp_path, "irt-photos", *GIVEN["irt-photos"], "irt.lambda=0.3")
    assert (done.returncode, done.stderr) == (0, "")
    assert read_yaml(tmp_path / "params.yaml")["irt"]["lambda"] == 0.3
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["params.yaml", "presets"]


def test_the_script_lists_presets(tmp_path):
    (tmp_path / "presets").symlink_to(PRESETS)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    head, *rows, empty, rests = script(tmp_path, "--list").stdout.splitlines()
    assert head.split()[:3] == ["preset", "data", "disk"]
    assert [row.split()[0] for row in rows] == sorted(GIVEN)
    assert (empty, "estimate" in rests) == ("", True)


def test_category_vectors_of_a_file_are_one_setting(tmp_path):
    """The SET that the preset documents; so is a folder laid out as COCO is."""
    documented = (PRESETS / "cprfl-photos.yaml").read_text()
    [vectors] = re.findall(r"^#   (clip_models=.*)$", documented, re.MULTILINE)
    [coco] = re.findall(r"^#   (datasets.photos='.*)$", documented, re.MULTILINE)
    text = with_presets((ROOT / "params.yaml").read_text(), ["cprfl-photos"], PRESETS)
    settings = shlex.split(f"{vectors} {coco} backbones.mobilenet.weights=/data/w.safetensors")
    (tmp_path / "params.yaml").write_text(with_settings(text, settings))
    check_params(Configuration.read(tmp_path / "params.yaml"))
    prompts = resolve(tmp_path, tmp_path / "params.yaml")["prompts@photos"]
    assert {"models/clip_models/none", "data/weights/prompts/photos.json"} <= set(prompts.deps)


def made(*given):
    """What `make repro` would run."""
    command = ["make", "--dry-run", "--assume-old=.venv/.installed", "repro", *given]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_hands_settings_on_whatever_their_quotes():
    quoted = '"clip_models={a: {b: c}}" pma.phrase_encoder=clip'
    assert f"src/stages/preset.py cprfl-photos {quoted}\n" in made("PRESET=cprfl-photos", f"SET={quoted}")
    assert f"src/stages/preset.py  {quoted}\n" in made(f"SET={quoted}")
    assert "preset.py" not in made()


def test_a_published_split_keeps_its_published_counts():
    own = {"world", "folder", "masks"}  # whose splits nobody has published
    found = 0
    for path in sorted(PRESETS.glob("*.yaml")):
        preset = read_yaml(path)
        for split in preset.get("splits", {}).values():
            source = preset.get("datasets", {}).get(split["dataset"], {}).get("source", "world")
            if source not in own and split["kind"] != "landmarks" and split.get("by") != "images":
                assert split.get("copies") == "keep", path.name
                found += 1
    assert found > 20


def test_original_pictures_are_three_settings():
    """The SET that the README documents."""
    [line] = re.findall(r"`SET='(datasets\.sop\.side=.*?)'`", (ROOT / "README.md").read_text())
    text = with_presets((ROOT / "params.yaml").read_text(), ["irt-sop"], PRESETS)
    params = parsed(with_settings(text, line.split()))
    check_params(params)
    kept = params.item("datasets", "sop", DatasetParams)
    assert (kept.side, kept.shape, kept.encoding) == (None, "shorter_side", "jpeg")


def test_data_sets_of_which_a_preset_keeps_squares_say_everywhere_how_they_are_kept():
    """So that the one of two presets that is laid last decides alone."""
    items = [item for path in PRESETS.glob("*.yaml") for item in read_yaml(path).get("datasets", {}).items()]
    squares = {name for name, item in items if item.get("shape") == "square"}
    assert squares == {"aircraft", "cub200", "cars196", "sop", "inshop"}
    for name, item in items:
        assert name not in squares or {"side", "shape", "encoding"} <= {*item}, name


def test_a_method_that_needs_the_originals_is_laid_after_one_that_keeps_squares():
    base = (ROOT / "params.yaml").read_text()
    for name, where in (("pma-cub200", r"backbones\.resnet50\.images"), ("frpt-cub200", r"frpt\.variants")):
        check_params(parsed(with_presets(base, ["irt-cub200", name], PRESETS)))
        squares = with_presets(base, [name, "irt-cub200"], PRESETS)
        with pytest.raises(UserError, match=f"^{where} .*'cub200' keeps squares of 256 px; set ") as caught:
            check_params(parsed(squares))
        remedy = str(caught.value).partition("; set ")[2].split()
        check_params(parsed(with_settings(squares, remedy)))
