"""Tiny pictures, splits and backbones that the tests make themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import Backbone, NetworkParams, create_backbone, save_backbone

SIDE = 32
VIT = {"img_size": SIDE, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
RESNET = {"channels": [8, 8, 16, 16], "output_stride": 16}


def make_task(folder: Path, classes: int = 6, images: int = 6, workers: int = 0) -> Task:
    """Pictures of one colour per class with noise, half of the classes for training, a random ViT."""
    rng = np.random.default_rng(0)
    rows = []
    data = folder / "data"
    data.mkdir(parents=True)
    with StoreWriter(data, "raw") as writer:
        for label in range(classes):
            colour = rng.integers(40, 215, 3)
            for number in range(images):
                noisy = colour + rng.normal(0, 20, (SIDE, SIDE, 3))
                row = writer.add(noisy.clip(0, 255).astype(np.uint8))
                trains = label < classes // 2
                rows.append(
                    {
                        "id": f"{label}/{number}",
                        "row": row,
                        "role": "train" if trains else "test",
                        "label": label if trains else label - classes // 2,
                        "class_name": f"class {label}",
                        "box": [2.0 + number, 4.0, 12.0, 10.0],
                        "mask_row": -1,
                    }
                )
    save_backbone(tiny_vit(), folder / "vit")
    split = pd.DataFrame(rows)
    return Task(
        store=ImageStore.open(data),
        manifest=split,
        split=split,
        split_params=SplitParams(dataset="data", kind="retrieval", ks=(1, 2)),
        backbone=folder / "vit",
        text=Path("none"),
        history=folder / "history",
        states=StateKey(folder / "states"),
        runtime=RuntimeParams(device="cpu", workers=workers, checkpoint_seconds=0.0001),
    )


def tiny_vit() -> Backbone:
    """A transformer of a few thousand weights, always the same."""
    torch.manual_seed(0)
    return create_backbone(NetworkParams(arch="vit_tiny_patch16_224", options=VIT), SIDE)


def tiny_resnet() -> Backbone:
    """A residual network of a few thousand weights, always the same."""
    torch.manual_seed(0)
    return create_backbone(NetworkParams(arch="resnet10t", options=RESNET), SIDE)
