"""A tiny classification task, and the recipe of a backbone for it."""

import dataclasses
from pathlib import Path

from fieldmark.base.blocks import parse
from fieldmark.engine.task import Task
from fieldmark.pretraining.schema import BackboneParams
from support.tiny import SIDE, VIT, make_task


def classification_task(folder: Path) -> Task:
    """Four classes of one colour each, every class in both roles."""
    made = make_task(folder, classes=4, images=8)
    split = made.split.assign(label=made.split["class_name"].astype("category").cat.codes.astype("int64"))
    split["role"] = ["test" if n % 4 == 0 else "train" for n in range(len(split))]
    return dataclasses.replace(made, split=split)


def backbone_params(**changes: object) -> BackboneParams:
    """Return the recipe with changes; it lacks either weights or a training."""
    fields = {
        "dataset": "d",
        "split": "s",
        "arch": "vit_tiny_patch16_224",
        "options": VIT,
        "images": {"side": SIDE, "crop": "centre"},
        **changes,
    }
    return parse(BackboneParams, fields, "backbones.vit")
