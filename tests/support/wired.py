"""The smallest task and block of each method: as params.yaml and the preset world-scratch write them, but tiny."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from ruamel.yaml import YAML

from fieldmark.base.blocks import parse
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import MethodParams
from fieldmark.contract.registry import load_method
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.task import Task
from fieldmark.engine.wiring import Wiring
from fieldmark.methods.cprfl.model.params import ALL
from fieldmark.methods.loca.model.modes import MODES
from fieldmark.methods.pma.model.variants import TrainedName
from fieldmark.preflight.presets import with_presets, with_settings
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.texts.phrases import Phrases, build_vocabulary, write_phrases
from fieldmark.texts.prompts import Prompts, write_prompts
from fieldmark.vision.backbones import create_backbone, save_backbone
from support.pipeline import ROOT
from support.tiny import SIDE, make_task

# In the preset the backbones and CLIPs are trained, too; the methods are those of params.yaml.
_TEXT = with_presets((ROOT / "params.yaml").read_text(encoding="utf-8"), ["world-scratch"], ROOT / "presets")
_FRESH = (
    "cprfl.views=null",
    "pma.views=null",
)  # fixed views are trained beside these, see `everything.VIEWED`
CONFIGURATION = Configuration(YAML(typ="safe", pure=True).load(with_settings(_TEXT, _FRESH)))
METHODS = list(CONFIGURATION.section("methods"))
CLASSES, PICTURES = 8, 6
STEPS, BATCH, PER_CLASS = 8, 8, 2
COLOURS = ("red", "blue", "green", "white", "black", "grey", "brown", "pink")
WIDTH = 10  # of the text space of the prompts
PMA_SIDE = 48  # a map of 6 x 6 cells: nine blocks for the five stages of PMA-5

# The options that make a network small. A map has one cell for each square of 8 px.
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "vit_tiny_patch16_224": {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2},
    "resnet10t": {"stem_width": 8, "channels": [8, 8, 16, 16], "output_stride": 8},
}
# What makes the real block of a method small, or takes part in training only where it is switched on.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "irt": {"dim": 8, "memory": {"fraction": 0.5, "start": 1, "momentum": 0.9}},
    "frpt": {
        "kernel_size": 7,
        "output_stride": 16,
        "source": {"side": 40},
        "shots": [2],
        "steps_per_shot": STEPS / 2,
    },
    # The others have the parts of these: a loss with class counts, a margin, or none; a head and any loss.
    "cprfl": {"variants": [*ALL, "RS", "LDAM"], "dim": 16, "heads": 2, "head_dim": 8, "mlp_dim": 16},
    "pma": {
        # Students are made by distill.pma alone; those with 2 to 4 stages are between the others.
        "variants": [name for name in get_args(TrainedName) if name not in ("PMA-2", "PMA-3", "PMA-4")],
        "word_dim": 6,
        "phrase_dim": 8,
        "stage_dim": 7,
        "reduction": {"vision": 2, "language": 2},
        "captions": 1,
        "images": {"side": PMA_SIDE},
    },
    "loca": {
        "variants": [*MODES, "LOCA-0.8"],
        "drop_path": 0.5,
        "momentum": 0.9,
        "options": NETWORKS["vit_tiny_patch16_224"],
        "views": {"reference_size": SIDE, "random_tokens": 6, "focal_count": 2, "focal_size": 16},
        "head": {"prototypes": 12, "hidden": 16, "bottleneck": 8},
    },
}


def merged(block: Any, changes: Any) -> Any:
    """Return a copy of a block with changes at any depth; a list is replaced, not joined."""
    if not (isinstance(block, Mapping) and isinstance(changes, Mapping)):
        return copy.deepcopy(changes)
    changed = {key: merged(block[key], value) for key, value in changes.items() if key in block}
    return {**copy.deepcopy(dict(block)), **copy.deepcopy(dict(changes)), **changed}


def short(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with a few steps of a few pictures."""
    few: dict[str, Any] = {"steps": STEPS, "batch_size": BATCH, "warmup_steps": 1}
    if train.get("images_per_class"):
        few["images_per_class"] = PER_CLASS
    return {**train, **few}


def tiny(name: str, changes: Mapping[str, Any] | None = None) -> MethodParams:
    """Return the real block of a method made tiny, with every variant that its schema knows, and then `changes`."""
    schema = load_method(name).Params
    real = dict(CONFIGURATION.content[name])
    few = {"images": {"side": SIDE}, "train": short(real["train"])}
    few["variants"] = _known_variants(schema) or real["variants"]
    block = merged(merged(merged(real, few), SMALL.get(name, {})), changes or {})
    return parse(schema, block, name)


def _known_variants(schema: type[MethodParams]) -> tuple[str, ...]:
    """Return the names that the type of `variants` lists; none where it takes any string."""
    names: tuple[str, ...] = get_args(get_args(schema.model_fields["variants"].annotation)[0])
    return names


def wired_task(folder: Path, wiring: Wiring) -> Task:
    """Return a tiny task with the kind of split, backbone and text that a wiring of params.yaml asks for."""
    split = CONFIGURATION.item("splits", wiring.split, SplitParams)
    made = make_task(folder, CLASSES, PICTURES)
    torch.manual_seed(0)
    network = tiny_backbone(wiring.backbone.removeprefix("backbones/"))
    save_backbone(create_backbone(network, network.images.side), made.backbone)
    manifest = _labelled(made.split, split.kind)
    _write_text(wiring.text, manifest, folder / wiring.text)
    return dataclasses.replace(
        made,
        manifest=manifest,
        split=manifest.drop(columns="labels"),
        split_params=split,
        text=folder / wiring.text,
    )


def tiny_backbone(item: str, changes: Mapping[str, Any] | None = None) -> BackboneParams:
    """Return a real item of `backbones` made tiny, and then `changes`."""
    real = CONFIGURATION.raw_item("backbones", item)
    options = merged(real["options"], NETWORKS[real["arch"]])
    if "img_size" in options:
        options["img_size"] = SIDE
    few = {"options": options, "images": {"side": SIDE}, "train": short(real["train"])}
    return parse(BackboneParams, merged(merged(real, few), changes or {}), f"backbones.{item}")


def _labelled(pictures: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Give pictures the roles and labels of a kind of split; the classes of a retrieval's roles are disjoint."""
    number = pictures.groupby("class_name").cumcount()
    others = (number + pictures.groupby("class_name").ngroup()) % CLASSES
    labels = [
        sorted({name, f"class {other}"}) for name, other in zip(pictures["class_name"], others, strict=True)
    ]
    if kind == "retrieval":
        return pictures.assign(labels=labels)
    role = number.map(lambda n: "train" if n < PICTURES - 2 else "test")
    if kind == "longtail":
        role[number == PICTURES - 2] = "val"
        return pictures.assign(role=role, label=-1, class_name="", labels=labels)
    label = pictures["class_name"].str.removeprefix("class ").astype(int)
    return pictures.assign(role=role, label=label, labels=labels)


def _write_text(text: str, manifest: pd.DataFrame, folder: Path) -> None:
    """Write phrases of every picture that tell its class, or prompts of every class; nothing for `none`."""
    section = text.partition("/")[0]
    if section == "phrases":
        folder.mkdir(parents=True)
        said = [_said(label, row) for label, row in zip(manifest["label"], manifest["row"], strict=True)]
        frame = manifest[["id", "row"]].assign(phrases=said)
        frame["captions"] = [[[index % 2] for index in range(len(phrases))] for phrases in said]
        write_phrases(Phrases(frame, build_vocabulary(said, 1)), folder)
    if section == "prompts":
        names = [f"class {label}" for label in range(CLASSES)]
        embeddings = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0))
        write_prompts(Prompts(names, embeddings, embeddings[None].clone()), ["{}"], names, folder)


def _said(label: int, row: int) -> list[str]:
    """Return the phrases of a picture; some pictures have one fewer, and one picture has none."""
    phrases = [f"{COLOURS[label]} wings", "small bill", f"long {COLOURS[label]} tail"]
    return phrases[: 0 if row == CLASSES else 2 + row % 2]
