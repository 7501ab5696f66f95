"""FRPT's training step compared with a pass of its backbone, and with the fine-tuning that a user would do instead."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fieldmark.benchmarks.fixtures import make_task, wired_backbone
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams, VariantName
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import Backbone, create_backbone

ROUNDS = 12
TIMED: tuple[VariantName, ...] = ("CAH", "DPP", "FRPT", "finetune")


def run(configuration: Configuration, folder: Path) -> str:
    """Return the table for the FRPT of `params.yaml`."""
    params = configuration.method_block("frpt", FrptParams)
    backbone = create_backbone(wired_backbone(configuration, "frpt"), params.images.side)
    workers = configuration.block("runtime", RuntimeParams).workers
    task = make_task(folder, params.images.side, backbone, workers)
    batch = _batch(task, params.train.batch_size)
    actions = _bare_actions(task, batch["images"], params.train.precision == "bf16")
    for name in TIMED:
        actions[f"{name} step"] = _step(name, params, task, batch)
    return table("Training step", in_turn(actions, ROUNDS), params.train.batch_size, "img")


def _batch(task: Task, count: int) -> dict[str, Tensor]:
    """Return evenly spaced pictures of the training set, uint8 as the loader gives them, and their labels."""
    subset = task.subset("train")
    chosen = [number * len(subset) // count for number in range(count)]
    images = torch.stack([to_tensor(task.store[int(subset.rows[index])]) for index in chosen])
    return {"images": images, "labels": torch.from_numpy(subset.labels[chosen])}


def _bare_actions(task: Task, images: Tensor, half: bool) -> dict[str, Callable[[], object]]:
    frozen = task.load_backbone().eval().requires_grad_(False)
    return {
        "frozen backbone: forward and backward": lambda: _through(frozen, images, half),
        "frozen backbone: forward": lambda: _forward(frozen, images, half),
    }


def _step(
    name: VariantName, params: FrptParams, task: Task, batch: dict[str, Tensor]
) -> Callable[[], Losses]:
    """Return an action that makes one step of a variant, which need not be in the block."""
    variant = Frpt.named(params.model_copy(update={"variants": (name,)}), name)
    stepper = Stepper(Frpt.build(variant, task), params.seeded, task.runtime)
    return lambda: stepper.step(iter([batch] * params.train.accumulate))


def _through(backbone: Backbone, images: Tensor, half: bool) -> None:
    """Do what any prompt costs: the gradient of the loss goes back to the pictures through the frozen weights."""
    pixels = (images.float() / 255).requires_grad_()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        loss = backbone(pixels).feature_map.square().mean()
    loss.backward()


@torch.no_grad()
def _forward(backbone: Backbone, images: Tensor, half: bool) -> None:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        backbone(images)
