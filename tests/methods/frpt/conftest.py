from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task, tiny_resnet

from fieldmark.base.blocks import parse
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.results.figures import FigureFolder
from fieldmark.vision.backbones import save_backbone


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """The tiny pictures with a tiny residual network, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    found = make_task(tmp_path / "task")
    save_backbone(tiny_resnet(), found.backbone)
    return found


@pytest.fixture
def params() -> Callable[..., FrptParams]:
    def made(**changes: object) -> FrptParams:
        train = {"steps": 3, "batch_size": 6, "lr": 1e-2}
        fields = {"kernel_size": 7, "images": {"side": SIDE}, "train": train, **changes}
        return parse(FrptParams, fields, "frpt")

    return made


@pytest.fixture
def figures(tmp_path: Path) -> FigureFolder:
    folder = tmp_path / "figures"
    folder.mkdir()
    return FigureFolder(folder)


@pytest.fixture
def batch(task: Task) -> dict[str, torch.Tensor]:
    subset = task.subset("train")
    images = torch.stack([torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in subset.rows])
    return {"images": images, "labels": torch.from_numpy(subset.labels.copy())}
