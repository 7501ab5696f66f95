"""The one training loop. Batch n is a function of (seed, n), so a resumed run repeats an uninterrupted one."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from fieldmark.datasets.loading import Batch, PictureDataset, TrainingSlices, loader, mix
from fieldmark.datasets.samplers import Sampler
from fieldmark.engine.averaging import AveragedWeights
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.method import Losses, Trainable
from fieldmark.engine.params import RuntimeParams, TrainParams
from fieldmark.engine.schedule import learning_rate
from fieldmark.engine.watch import WINDOW, LiveCurve, LossWatch, Point, no_curve
from fieldmark.errors import UserError
from fieldmark.progress import progress
from fieldmark.vision.backbones import freeze_batchnorm


@dataclass
class Run:
    """All that changes while a method trains; what a checkpoint holds."""

    method: Trainable
    optimizer: Optimizer
    averaged: AveragedWeights | None
    step: int
    history: list[Point]

    def state(self) -> dict[str, Any]:
        """Return the state to save: model with its buffers, optimiser, averages, step, curve."""
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged else {},
            "step": self.step,
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])
        self.step, self.history[:] = state["step"], state["history"]


def train(
    method: Trainable,
    dataset: PictureDataset,
    sampler: Sampler,
    params: TrainParams,
    runtime: RuntimeParams,
    checkpoints: CheckpointFolder,
    live: Path,
) -> list[Point]:
    """Train `method` in place, resuming where a killed run stopped; return the training curve.

    Raises UserError when a loss turns NaN or explodes.
    """
    fabric = _fabric(params, runtime)
    fabric.to_device(method)
    run = Run(method, _optimizer(method, params), None, 0, [])
    run.averaged = AveragedWeights(method, params.ema) if params.ema else None
    model, optimizer = fabric.setup(method, run.optimizer, move_to_device=False)
    if saved := checkpoints.load():
        run.restore(saved)
    curve: Any = LiveCurve(live, run.step > 0) if fabric.is_global_zero else no_curve()
    watch = LossWatch(method, run.history)
    batches = _batches(fabric, dataset, sampler, params, runtime, run.step)
    bar = progress(
        total=params.steps * params.batch_size,
        initial=run.step * params.batch_size,
        desc=live.name,
        unit="img",
    )
    last_save = time.monotonic()
    _training_mode(method, params)
    while run.step < params.steps:
        rate = _set_rate(optimizer, params, run.step)
        method.before_step(run.step)
        torch.manual_seed(mix(params.seed, run.step, fabric.global_rank))
        watch.add(run.step, _optimise(fabric, model, optimizer, batches, params))
        if run.averaged:
            run.averaged.update()
        method.after_step(run.step)
        run.step += 1
        bar.update(params.batch_size)
        due = runtime.checkpoint_seconds and time.monotonic() - last_save > runtime.checkpoint_seconds
        if run.step % WINDOW == 0 or run.step == params.steps:
            point = watch.read(rate)
            curve.add(point)
            bar.set_postfix_str(f"loss {point['loss']:.4g}", refresh=False)
            if due or run.step == params.steps:
                _save(fabric, checkpoints, run)
                last_save = time.monotonic()
    bar.close()
    curve.close()
    if run.averaged:
        run.averaged.copy_to_module()
    return run.history


def pick_device(runtime: RuntimeParams) -> str:
    """Return the accelerator to use. Raises UserError for one that this machine lacks."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if runtime.device == "auto":
        return next(name for name, there in available.items() if there)
    if not available[runtime.device]:
        raise UserError(f"runtime.device is {runtime.device}, which this machine lacks; use auto or cpu")
    return runtime.device


def _fabric(params: TrainParams, runtime: RuntimeParams) -> Fabric:
    several = runtime.devices * runtime.nodes > 1
    fabric = Fabric(
        accelerator=pick_device(runtime),
        devices=runtime.devices,
        num_nodes=runtime.nodes,
        strategy="ddp" if several else "auto",
        precision="bf16-mixed" if params.precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def _optimizer(method: Trainable, params: TrainParams) -> Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": g.params, "weight_decay": g.weight_decay, "lr_scale": g.lr_scale}
        for g in method.parameter_groups(params)
    ]
    if params.optimizer == "sgd":
        return SGD(groups, lr=params.lr, momentum=params.momentum)
    return (AdamW if params.optimizer == "adamw" else Adam)(groups, lr=params.lr)


def _batches(
    fabric: Fabric,
    dataset: PictureDataset,
    sampler: Sampler,
    params: TrainParams,
    runtime: RuntimeParams,
    start: int,
) -> Iterator[Batch]:
    slices = TrainingSlices(
        sampler, start, params.steps, fabric.global_rank, fabric.world_size, params.accumulate
    )
    return loader(dataset, slices, runtime.workers, pin=fabric.device.type == "cuda")


def _optimise(
    fabric: Fabric, model: Any, optimizer: Any, batches: Iterator[Batch], params: TrainParams
) -> Losses:
    """Make one optimiser step from `accumulate` micro-batches; return the mean of their losses."""
    total: Losses = {}
    for micro in range(params.accumulate):
        batch = fabric.to_device(next(batches))
        with fabric.no_backward_sync(model, enabled=micro < params.accumulate - 1):
            losses: Losses = model(batch)
            fabric.backward(losses["loss"] / params.accumulate)
        for name, value in losses.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach() / params.accumulate
    if params.clip_norm:
        fabric.clip_gradients(model, optimizer, max_norm=params.clip_norm, error_if_nonfinite=False)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def _set_rate(optimizer: Any, params: TrainParams, step: int) -> float:
    rate = learning_rate(params, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
    return rate


def _training_mode(method: nn.Module, params: TrainParams) -> None:
    method.train()
    if params.freeze_batchnorm:
        freeze_batchnorm(method)


def _save(fabric: Fabric, checkpoints: CheckpointFolder, run: Run) -> None:
    if fabric.is_global_zero:
        checkpoints.save(run.state())
    fabric.barrier()
