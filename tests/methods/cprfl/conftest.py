from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.tiny import SIDE, tiny_resnet

from fieldmark.base.blocks import parse
from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.runtime.params import RuntimeParams
from fieldmark.texts.prompts import Prompts, read_prompts, write_prompts
from fieldmark.vision.backbones import save_backbone

NAMES = ["crow", "finch", "heron", "wren"]
ODDS = [0.7, 0.5, 0.3, 0.15]  # of each in a picture
ROLES = ["train"] * 30 + ["val"] * 12 + ["test"] * 24
WIDTH = 10


def pictures(folder: Path) -> pd.DataFrame:
    """Write noise with a bright square, in the colour and corner of the class, for each class; return the manifest."""
    rng = np.random.default_rng(0)
    colours = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220], [220, 220, 30]])
    rows = []
    with StoreWriter(folder, "raw") as writer:
        for number, role in enumerate(ROLES):
            picture = rng.integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8)
            present = np.flatnonzero(rng.random(4) < ODDS)
            for label in present:
                top, left = 16 * (label // 2) + rng.integers(6), 16 * (label % 2) + rng.integers(6)
                picture[top : top + 10, left : left + 10] = colours[label]
            labels = [NAMES[label] for label in present]
            rows.append({"id": f"p{number}", "row": writer.add(picture), "labels": labels, "role": role})
    return pd.DataFrame(rows)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Pictures with several labels, a tiny residual network and made-up prompts, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    manifest = pictures(tmp_path / "data")
    save_backbone(tiny_resnet(), tmp_path / "backbone")
    generator = torch.Generator().manual_seed(0)
    prompts = Prompts(
        names=NAMES,
        embeddings=torch.randn(4, WIDTH, generator=generator),
        per_template=torch.zeros(1, 4, WIDTH),
        image_embeddings=torch.randn(len(ROLES), WIDTH, generator=generator),
    )
    write_prompts(prompts, ["{}"], NAMES, tmp_path / "prompts")
    return Task(
        store=ImageStore.open(tmp_path / "data"),
        manifest=manifest,
        split=manifest[["id", "row", "role"]].assign(label=-1, class_name=""),
        split_params=SplitParams(dataset="scenes", kind="longtail", ks=(1,)),
        backbone=tmp_path / "backbone",
        text=tmp_path / "prompts",
        history=tmp_path / "history",
        runtime=RuntimeParams(device="cpu", workers=0, checkpoint_seconds=0.0001),
        states=StateKey(tmp_path / "states"),
    )


@pytest.fixture
def several_prompts(task: Task) -> Task:
    """The same task with prompts of three origins, of two widths."""
    made = read_prompts(task.text)
    for number, (name, width) in enumerate({"main": WIDTH, "glove": 6, "other": WIDTH}.items()):
        vectors = torch.randn(4, width, generator=torch.Generator().manual_seed(number))
        images = made.image_embeddings if name == "main" else None
        write_prompts(Prompts(NAMES, vectors, vectors[None].clone(), images), [], NAMES, Path("all") / name)
    return replace(task, text=Path("all"))


@pytest.fixture
def without_val(task: Task) -> Task:
    return task.with_split(task.split[task.split["role"] != "val"])


@pytest.fixture
def params() -> Callable[..., CprflParams]:
    def made(**changes: object) -> CprflParams:
        train = {"steps": 3, "batch_size": 6, "lr": 1e-2}
        images = {"side": SIDE, "crop": "centre", "flip": False}
        sizes = {"dim": 16, "heads": 2, "head_dim": 8, "mlp_dim": 16, "dropout": 0.0}
        return parse(CprflParams, {**sizes, "images": images, "train": train, **changes}, "cprfl")

    return made


@pytest.fixture
def batch(task: Task) -> dict[str, torch.Tensor]:
    subset = task.subset("train")
    images = [torch.from_numpy(task.store[int(row)].copy()).permute(2, 0, 1) for row in subset.rows]
    return {"images": torch.stack(images), "indices": torch.arange(len(images))}
