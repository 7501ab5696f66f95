"""Tiny pictures with masks: the label of a pixel is its red, a coloured square on a background."""

from pathlib import Path

import numpy as np
import pandas as pd

from fieldmark.base.files import write_json
from fieldmark.datasets.data.packed.store import MASK_NAMES, NO_LABEL, ImageStore, StoreWriter, encode
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import save_backbone
from support.tiny import tiny_vit

NAMES = ("ground", "square", "stripe", "never")
CLASSES = len(NAMES)
RED = 60  # per label


def masked_task(
    folder: Path, pictures: int = 30, sides: tuple[int, ...] = (32,), unlabelled_rows: int = 0
) -> Task:
    """Three fifths of the pictures for training; sides follow one another. A random ViT stands by.

    In every third mask the first `unlabelled_rows` have no label.
    """
    rng = np.random.default_rng(0)
    data = folder / "data"
    data.mkdir(parents=True)
    rows = []
    with StoreWriter(data, "raw") as writer:
        for number in range(pictures):
            mask = _mask(rng, sides[number % len(sides)])
            noise = rng.integers(0, 60, (*mask.shape, 3))
            noise[..., 0] = RED * mask
            if number % 3 == 0:
                mask[:unlabelled_rows] = NO_LABEL
            rows.append(
                {
                    "id": f"picture {number}",
                    "row": writer.add(noise.astype(np.uint8)),
                    "mask_row": writer.add_encoded_mask(encode(mask, writer.mask_encoding)),
                    "role": "test" if number % 5 > 2 else "train",
                    "label": 0,
                    "class_name": "picture",
                }
            )
    write_json(data / MASK_NAMES, NAMES)
    save_backbone(tiny_vit(), folder / "vit")
    frame = pd.DataFrame(rows)
    return Task(
        store=ImageStore.open(data),
        manifest=frame,
        split=frame.drop(columns="mask_row"),
        split_params=SplitParams(dataset="data", kind="classification", ks=(1,)),
        backbone=folder / "vit",
        text=folder / "none",
        history=folder / "history",
        states=StateKey(folder / "states"),
        runtime=RuntimeParams(device="cpu", workers=0, checkpoint_seconds=0.0001),
    )


def _mask(rng: np.random.Generator, side: int) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    top, left = rng.integers(0, side // 2, 2)
    mask[top : top + side // 2, left : left + side // 2] = 1
    if rng.random() < 0.5:
        mask[side - side // 4 :] = 2
    return mask
