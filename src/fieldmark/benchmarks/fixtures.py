"""Pictures for benchmarks: noise in an image store and as JPEG files, made on the spot."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.engine.wiring import read_wiring
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.runtime.params import RuntimeParams, Workers
from fieldmark.vision.backbones import Backbone, save_backbone

CLASSES, PER_CLASS = 30, 20


def make_task(folder: Path, side: int, backbone: Backbone, workers: Workers) -> Task:
    """Write a data set of smooth noise, `side` pixels square, and open it with a backbone."""
    generator = np.random.default_rng(0)
    (folder / "files").mkdir()
    with StoreWriter(folder, "raw") as writer:
        for number in range(CLASSES * PER_CLASS):
            coarse = Image.fromarray(generator.integers(0, 256, (16, 16, 3), np.uint8))
            picture = coarse.resize((side, side), Image.Resampling.BICUBIC)
            picture.save(folder / "files" / f"{number}.jpg", quality=92)
            writer.add(np.asarray(picture))
    save_backbone(backbone, folder / "backbone")
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    rows = np.arange(len(labels))
    split = pd.DataFrame({"row": rows, "label": labels, "role": "train", "class_name": labels.astype(str)})
    return Task(
        ImageStore.open(folder),
        split,
        split,
        SplitParams(dataset="noise", kind="retrieval", ks=(1,)),
        folder / "backbone",
        Path("none"),
        folder,
        RuntimeParams(workers=workers),
        StateKey(folder / "states"),
    )


def wired_backbone(configuration: Configuration, method: str) -> BackboneParams:
    """Return the backbone that a method starts from. Raises UserError when another method makes it."""
    section, _, name = read_wiring(configuration, method).backbone.partition("/")
    if section != "backbones":
        raise UserError(f"methods.{method}.backbone is made by {section}; name an item of backbones")
    return configuration.item("backbones", name, BackboneParams)
