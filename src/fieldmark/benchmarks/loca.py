"""LOCA's training step compared with the passes of the encoder alone that it must make."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from fieldmark.benchmarks.fixtures import make_task
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.methods.loca.model.encoder import build_encoder, encode
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.network import choose_patches
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.variants import LocaVariant, make_variant
from fieldmark.methods.loca.model.views import NUMBERS, draws, make_views
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import Backbone

ROUNDS = 12
TRAINED = ("position", "feature", "LOCA", "zhai")


def run(configuration: Configuration, folder: Path) -> str:
    """Return the table for the LOCA of `params.yaml`."""
    params = configuration.method_block("loca", LocaParams)
    encoder = build_encoder(params)
    workers = configuration.block("runtime", RuntimeParams).workers
    task = make_task(folder, params.images.side, encoder, workers)
    subset = task.subset("train")
    chosen = [i * len(subset) // params.train.batch_size for i in range(params.train.batch_size)]
    device = torch.device(pick_device(task.runtime))
    images = torch.stack([to_tensor(task.store[int(subset.rows[i])]) for i in chosen]).to(device)
    encoder.to(device)
    optimizer = AdamW(encoder.parameters(), lr=params.train.lr)
    variant = make_variant("LOCA", params)
    actions = {
        "encoder: reference; queries and back": lambda: _bare_step(encoder, optimizer, variant, images),
        "views alone": lambda: _views(params, images, encoder.spec.stride),
    }
    actions |= {f"{name} step": _step(make_variant(name, params), task, images) for name in TRAINED}
    return table("Training step", in_turn(actions, ROUNDS), params.train.batch_size, "img")


def _step(variant: LocaVariant, task: Task, images: Tensor) -> Callable[[], None]:
    method = Loca.build(variant, task)
    stepper = Stepper(method, method.params.seeded, task.runtime)

    def step() -> None:
        method.before_step(0)
        stepper.step(iter([{"images": images}] * method.params.train.accumulate))
        method.after_step(0)

    return step


def _bare_step(encoder: Backbone, optimizer: Optimizer, variant: LocaVariant, images: Tensor) -> None:
    """Make the passes of a LOCA step: the reference without gradients, all queries with them, and an update."""
    views, side = variant.params.views, variant.params.views.reference_size
    shown = images[:, :, :side, :side].float() / 255
    _, kept = choose_patches(variant, (side // encoder.spec.stride) ** 2, 0)
    with torch.no_grad():
        encode(encoder, shown)
    focal = shown[:, :, : views.focal_size, : views.focal_size].repeat(views.focal_count, 1, 1, 1)
    passes = (encode(encoder, shown, kept=kept), encode(encoder, focal))
    torch.stack([features.square().mean() for features in passes]).sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _views(params: LocaParams, images: Tensor, patch: int) -> None:
    count = 2 + params.views.focal_count
    uniform = draws(0, 0, range(len(images)), count * NUMBERS)
    make_views(images, uniform.unflatten(1, (count, NUMBERS)), params.views, patch)
