"""FRPT's training step beside one pass of its backbone, and beside the fine-tuning that a user would do instead."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fieldmark.base.blocks import parse
from fieldmark.benchmarks.fixtures import make_task
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.preflight.check import read_runtime, wired_backbone
from fieldmark.vision.backbones import Backbone, create_backbone

ROUNDS = 12


def run(params: dict[str, Any], folder: Path) -> str:
    """Return the table for the FRPT of `params` (the content of params.yaml)."""
    own = parse(FrptParams, params["frpt"], "frpt")
    backbone = create_backbone(wired_backbone(params, "frpt"), own.images.side)
    task = make_task(folder, own.images.side, backbone, read_runtime(params).workers)
    subset = task.subset("train")
    chosen = [i * len(subset) // own.train.batch_size for i in range(own.train.batch_size)]
    images = torch.stack([to_tensor(task.store[int(subset.rows[i])]) for i in chosen])  # uint8, as loaded
    batch = {"images": images, "labels": torch.from_numpy(subset.labels[chosen])}
    frozen = task.load_backbone().eval().requires_grad_(False)
    half = own.train.precision == "bf16"
    actions = {
        "frozen backbone: forward and backward": lambda: _through(frozen, images, half),
        "frozen backbone: forward": lambda: _forward(frozen, images, half),
    }
    for variant in ("CAH", "DPP", "FRPT", "finetune"):
        actions[f"{variant} step"] = _step(variant, own, task, batch)
    return table("Training step", in_turn(actions, ROUNDS), own.train.batch_size, "img")


def _step(variant: str, own: FrptParams, task: Task, batch: dict[str, Tensor]) -> Any:
    alone = own.model_copy(update={"variants": (variant,)})
    stepper = Stepper(Frpt.build(alone, task), own.train, task.runtime)
    return lambda: stepper.step(iter([batch] * own.train.accumulate))


def _through(backbone: Backbone, images: Tensor, half: bool) -> None:
    """What any prompt must pay: the loss reaches the pictures through the frozen weights."""
    asked = (images.float() / 255).requires_grad_()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        loss = backbone(asked).feature_map.square().mean()
    loss.backward()


@torch.no_grad()
def _forward(backbone: Backbone, images: Tensor, half: bool) -> None:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        backbone(images)
