"""A tiny trained model, and folders of photographs for it."""

from pathlib import Path

import torch

from fieldmark.base.blocks import parse
from fieldmark.contract.variants import save_model
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from support.pictures import write_picture
from support.tiny import SIDE, make_task


def describing_model(folder: Path) -> Path:
    """Save a model that describes pictures, and return its folder."""
    params = parse(IrtParams, {"images": {"side": SIDE}, "train": {"steps": 0, "lr": 1e-3}}, "irt")
    save_model(Irt.build(Irt.named(params, "R"), make_task(folder / "task")), folder / "R/0")
    return folder / "R"


def classifying_model(folder: Path) -> Path:
    """Save a model that names classes, and return its folder."""
    fields = {"variants": ["plain"], "images": {"side": SIDE}, "train": {"steps": 0, "lr": 1e-3}}
    params = parse(PmaParams, fields, "pma")
    torch.manual_seed(0)
    save_model(Pma.build(Pma.named(params, "plain"), make_task(folder / "task")), folder / "plain/0")
    return folder / "plain"


def photographs(folder: Path, count: int) -> Path:
    """Write so many pictures into two folders of classes, a damaged one, a hidden one, and a file of text."""
    for number in range(count):
        write_picture(folder / f"class {number % 2}" / f"{number:03}.jpg", number)
    (folder / "class 0/damaged.jpg").write_bytes(b"no picture")
    write_picture(folder / "class 1/._001.jpg", 0)
    (folder / "notes.txt").write_text("not a picture")
    return folder
