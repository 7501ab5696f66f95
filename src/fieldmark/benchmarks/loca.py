"""LOCA's training step beside the bare encoder passes that it must make."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from fieldmark.base.blocks import parse
from fieldmark.benchmarks.fixtures import make_task
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.methods.loca.model.encoder import build_encoder, encode
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.network import choose_patches
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.views import NUMBERS, draws, make_views
from fieldmark.preflight.check import read_runtime
from fieldmark.runtime.device import pick_device
from fieldmark.vision.backbones import Backbone

ROUNDS = 12
TRAINED = ("position", "feature", "LOCA", "zhai")


def run(params: dict[str, Any], folder: Path) -> str:
    """Return the table for the LOCA of `params` (the content of params.yaml)."""
    own = parse(LocaParams, params["loca"], "loca").single("LOCA")
    encoder = build_encoder(own)
    task = make_task(folder, own.images.side, encoder, read_runtime(params).workers)
    subset = task.subset("train")
    chosen = [i * len(subset) // own.train.batch_size for i in range(own.train.batch_size)]
    device = torch.device(pick_device(task.runtime))
    images = torch.stack([to_tensor(task.store[int(subset.rows[i])]) for i in chosen]).to(device)
    encoder.to(device)
    optimizer = AdamW(encoder.parameters(), lr=own.train.lr)
    actions = {
        "encoder: reference; queries and back": lambda: _bare_step(encoder, optimizer, own, images),
        "views alone": lambda: _views(own, images, encoder.spec.stride),
    }
    actions |= {f"{name} step": _step(own.single(name), task, images) for name in TRAINED}
    return table("Training step", in_turn(actions, ROUNDS), own.train.batch_size, "img")


def _step(own: LocaParams, task: Task, images: Tensor) -> Any:
    method = Loca.build(own, task)
    stepper = Stepper(method, own.train, task.runtime)

    def step() -> None:
        method.before_step(0)
        stepper.step(iter([{"images": images}] * own.train.accumulate))
        method.after_step(0)

    return step


def _bare_step(encoder: Backbone, optimizer: Optimizer, own: LocaParams, images: Tensor) -> None:
    """The passes of a LOCA step: the whole reference without gradient, all queries with, and an update."""
    views, side = own.views, own.views.reference_size
    shown = images[:, :, :side, :side].float() / 255
    _, kept = choose_patches(own, (views.reference_size // encoder.spec.stride) ** 2, 0)
    with torch.no_grad():
        encode(encoder, shown)
    focal = shown[:, :, : views.focal_size, : views.focal_size].repeat(views.focal_count, 1, 1, 1)
    passes = (encode(encoder, shown, kept=kept), encode(encoder, focal))
    torch.stack([features.square().mean() for features in passes]).sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _views(own: LocaParams, images: Tensor, patch: int) -> None:
    count = 2 + own.views.focal_count
    uniform = draws(0, 0, range(len(images)), count * NUMBERS)
    make_views(images, uniform.unflatten(1, (count, NUMBERS)), own.views, patch)
