from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task

from fieldmark.base.blocks import parse
from fieldmark.engine.task import Task
from fieldmark.methods.loca.model.params import LocaParams

TINY = {
    "arch": "vit_tiny_patch16_224",
    "options": {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2},
    "views": {"reference_size": SIDE, "random_tokens": 6, "focal_count": 2, "focal_size": 16},
    "head": {"prototypes": 12, "hidden": 16, "bottleneck": 8},
}


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """The tiny pictures, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return make_task(tmp_path / "task")


@pytest.fixture
def params() -> Callable[..., LocaParams]:
    def made(**changes: object) -> LocaParams:
        train = {"steps": 4, "batch_size": 6, "lr": 1e-3, "weight_decay": 0.1}
        images = {"side": SIDE, "crop": "centre", "flip": False}
        return parse(LocaParams, {**TINY, "images": images, "train": train, **changes}, "loca")

    return made


@pytest.fixture
def batch(task: Task) -> dict[str, torch.Tensor]:
    subset = task.subset("train")
    images = torch.stack([torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in subset.rows])
    return {"images": images, "labels": torch.from_numpy(subset.labels.copy())}
