"""The one training loop. Batch n is a function of (seed, n), so a resumed run repeats an uninterrupted one."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from fieldmark.base.errors import UserError
from fieldmark.base.progress import progress
from fieldmark.datasets.data.batches.augmenting import augmented
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, TrainingSlices, loader, mix
from fieldmark.datasets.data.batches.samplers import RoundSampler, Sampler
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.ema import EmaWeights
from fieldmark.engine.monitor import WINDOW, Curve, LiveCurve, LossMonitor, NoCurve, Pending, Point
from fieldmark.engine.params import Precision, TrainParams, TrainRecipe
from fieldmark.engine.schedule import learning_rate
from fieldmark.engine.stopping import between_steps
from fieldmark.engine.trainable import Losses, Trainable
from fieldmark.runtime.batchnorm import synchronise_batchnorm
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.distributed import from_first
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.processes import start_processes
from fieldmark.runtime.sharding import (
    Sharding,
    average_gradients,
    clip_gradients,
    cut_as,
    cut_optimiser,
    explained,
    gathered,
    step_one_by_one,
)
from fieldmark.runtime.speed import compiled, is_fused, tf32, to_channels_last
from fieldmark.runtime.workers import loader_workers
from fieldmark.vision.backbones import freeze_batchnorm

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LIVE = Path("live")
FABRIC_PRECISION: Mapping[Precision, Literal["bf16-mixed", "32-true"]] = {
    "bf16": "bf16-mixed",
    "fp32": "32-true",
}
BF16_PROCESSORS = ("AVX512", "AVX10")  # others emulate bf16, 15 times slower than fp32 as measured with AVX2


@dataclass
class Run:
    """All that changes while a method trains; what a checkpoint holds."""

    method: Trainable
    optimizer: Optimizer
    ema: EmaWeights | None
    step: int
    history: list[Point]
    seconds: float = 0.0  # of training, over all calls that a killed run took
    pending: Pending = field(default_factory=list)
    sharded: bool = False  # whether this process has a part of the weights

    def state(self) -> dict[str, Any]:
        """Return the state to save: model with its buffers, optimiser, ema, step, curve.

        Where weights are sharded every process must call this, and the first one gets the same state as without.
        """
        state = {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema else {},
            "step": self.step,
            "history": self.history,
            "seconds": self.seconds,
            "pending": self.pending,
        }
        return gathered(state) if self.sharded else state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state, whether weights were sharded when it was saved or not."""
        if self.sharded:
            state = {
                **state,
                "method": cut_as(state["method"], self.method.state_dict()),
                "optimizer": cut_optimiser(state["optimizer"], self.optimizer),
                "ema": cut_as(state["ema"], self.ema.state_dict() if self.ema else {}),
            }
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        self.step, self.history[:], self.seconds = state["step"], state["history"], state["seconds"]
        device = next(self.method.parameters()).device
        self.pending[:] = [
            (step, {name: value.to(device) for name, value in losses.items()})
            for step, losses in state["pending"]
        ]


class Stepper:
    """A trainable with its optimiser on its device(s): makes one optimiser step at a time."""

    def __init__(self, method: Trainable, params: TrainParams, runtime: RuntimeParams) -> None:
        self.params, self.fabric, self.sharded = params, make_fabric(params, runtime), runtime.sharded
        if self.sharded:
            self._set_up_sharded(method)
        else:
            self._set_up(method)
        method.train()
        if self.fabric.world_size > 1:
            synchronise_batchnorm(method)
        if params.freeze_batchnorm:
            freeze_batchnorm(method)

    def _set_up(self, method: Trainable) -> None:
        self.fabric.to_device(method)
        if self.params.channels_last:
            to_channels_last(method)
        self.optimizer = _optimizer(method, self.params, self.fabric.device)
        module = compiled(method) if self.params.compile else method
        self._model, self._optimizer = self.fabric.setup(module, self.optimizer, move_to_device=False)

    def _set_up_sharded(self, method: Trainable) -> None:
        """Cut the weights, then make the optimiser of the parts; no device ever has all weights."""
        if self.params.compile:
            raise UserError("train.compile does not go with runtime.shard: set one of them to false")
        method.sharding = Sharding(method)
        self._model = self.fabric.setup_module(method, move_to_device=False)
        self.optimizer = _optimizer(method, self.params, self.fabric.device)
        step_one_by_one(self.optimizer)
        self._optimizer = self.fabric.setup_optimizers(self.optimizer)

    def set_rate(self, step: int) -> float:
        """Set the learning rate of step `step`; return it."""
        rate = learning_rate(self.params, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        return rate

    def step(self, batches: Iterator[Batch]) -> Losses:
        """Make one step from the next `accumulate` micro-batches; return the mean of their losses."""
        total: Losses = {}
        for micro in range(self.params.accumulate):
            batch = augmented(self.fabric.to_device(next(batches)))
            with self.fabric.no_backward_sync(self._model, enabled=micro < self.params.accumulate - 1):
                losses: Losses = self._losses(batch)
                self.fabric.backward(losses["loss"] / self.params.accumulate)
            for name, value in losses.items():
                total[name] = total.get(name, 0.0) + value.detach() / self.params.accumulate
        if self.sharded:
            average_gradients(self._weights())
        if self.params.clip_norm:
            self._clip(self.params.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _losses(self, batch: Batch) -> Losses:
        with explained() if self.sharded else nullcontext():
            losses: Losses = self._model(batch)
        return losses

    def _clip(self, norm: float) -> None:
        if self.sharded:
            clip_gradients(self._weights(), norm)
        else:
            self.fabric.clip_gradients(self._model, self._optimizer, max_norm=norm, error_if_nonfinite=False)

    def _weights(self) -> list[nn.Parameter]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def save(self, state: Run, checkpoints: CheckpointFolder) -> None:
        """Save the state on the first process; the others give what they have of it."""
        if self.sharded or self.fabric.is_global_zero:
            content = state.state()
            if self.fabric.is_global_zero:
                checkpoints.save(content)

    def agreed(self, due: bool) -> bool:
        """Return what the first process decides where all have to act together; else what this one does."""
        if not self.sharded:
            return due
        return bool(from_first(torch.tensor(int(due), device=self.fabric.device)))


def train(
    method: Trainable,
    dataset: PictureDataset,
    sampler: Sampler,
    params: TrainParams,
    runtime: RuntimeParams,
    checkpoints: CheckpointFolder,
    run: str,
    keep: Callable[[int], None] = lambda done: None,
) -> list[Point]:
    """Train `method` in place, resuming where a killed run stopped; return the training curve.

    `run` names the training, such as "irt/R", for the progress bar and for `live/`. `keep` is called on the first
    process with the number of steps done, and on all of them where weights are sharded. On Ctrl-C or SIGTERM the state
    is saved after the step at hand. Raises UserError when a loss turns NaN or explodes.
    """
    stepper = Stepper(method, params, runtime)
    ema = EmaWeights(method, params.ema) if params.ema else None
    state = Run(method, stepper.optimizer, ema, 0, [], sharded=stepper.sharded)
    if saved := checkpoints.load():
        state.restore(saved)
    batches = _batches(stepper.fabric, dataset, sampler, params, runtime, state.step, method.whole)
    with (
        between_steps(stepper.fabric.world_size == 1) as stopping,
        tf32(params.tf32, stepper.fabric.device),
        _observers(stepper.fabric, state, params, run) as (curve, bar),
    ):
        monitor = LossMonitor(method, state.history, state.pending)
        last_read = last_save = time.monotonic()
        while state.step < params.steps:
            rate = stepper.set_rate(state.step)
            method.before_step(state.step)
            torch.manual_seed(mix(params.seed, state.step, stepper.fabric.global_rank))
            monitor.add(state.step, stepper.step(batches))
            if state.ema:
                state.ema.update()
            method.after_step(state.step)
            state.step += 1
            bar.update(params.batch_size)
            if stepper.sharded or stepper.fabric.is_global_zero:
                keep(state.step)
            if stopping.asked is not None:
                checkpoints.save(state.state())
                break
            if state.step % WINDOW and state.step < params.steps:
                continue
            point = monitor.read(rate)
            state.seconds, last_read = state.seconds + time.monotonic() - last_read, time.monotonic()
            curve.add({**point, "seconds": state.seconds})
            bar.set_postfix_str(f"loss {point['loss']:.4g}", refresh=False)
            if state.step == params.steps or stepper.agreed(
                time.monotonic() - last_save > runtime.checkpoint_seconds
            ):
                stepper.save(state, checkpoints)
                last_save = time.monotonic()
    if state.ema:
        state.ema.copy_to_module()
    method.put_together()
    return state.history


def pick_precision(params: TrainRecipe, device: str) -> Precision:
    """Return the precision to train in: fp32 instead of bf16 on a processor that would have to emulate bf16."""
    if params.precision == "fp32":
        return "fp32"
    processor = torch.backends.cpu.get_cpu_capability()
    if device == "cpu" and not processor.startswith(BF16_PROCESSORS):
        _say_fp32(processor)
        return "fp32"
    return "bf16"


@cache
def _say_fp32(processor: str) -> None:
    """Say it once per process, however many models it trains."""
    print(
        f"precision bf16 would be emulated on this processor ({processor}): training in fp32", file=sys.stderr
    )


def make_fabric(params: TrainParams, runtime: RuntimeParams) -> "Fabric":
    """Return this process's part of the devices, in the precision of training; the first call starts the others."""
    return start_processes(runtime, FABRIC_PRECISION[pick_precision(params, pick_device(runtime))])


def _optimizer(method: Trainable, params: TrainParams, device: torch.device) -> Optimizer:
    """Return the optimiser of the recipe for a method that is on its device."""
    groups: list[dict[str, Any]] = [
        {"params": g.params, "weight_decay": g.weight_decay, "lr_scale": g.lr_scale}
        for g in method.parameter_groups(params)
    ]
    fused = is_fused(params.fused, device)
    if params.optimizer == "sgd":
        return SGD(groups, lr=params.lr, momentum=params.momentum, fused=fused)
    return (AdamW if params.optimizer == "adamw" else Adam)(groups, lr=params.lr, fused=fused)


def _batches(
    fabric: "Fabric",
    dataset: PictureDataset,
    sampler: Sampler,
    params: TrainParams,
    runtime: RuntimeParams,
    start: int,
    whole: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Batch]:
    def load(first: int, last: int) -> Iterator[Batch]:
        try:
            slices = TrainingSlices(
                sampler, first, last, fabric.global_rank, fabric.world_size, params.accumulate
            )
        except ValueError as error:
            raise UserError(
                f"{error}: change train.batch_size, train.accumulate or runtime.devices"
            ) from None
        return loader(dataset, slices, loader_workers(runtime), pin=fabric.device.type == "cuda")

    if isinstance(sampler, RoundSampler):
        return _in_rounds(sampler, start, params.steps, load, whole)
    return load(start, params.steps)


def _in_rounds(
    sampler: RoundSampler,
    start: int,
    stop: int,
    load: Callable[[int, int], Iterator[Batch]],
    whole: Callable[[], AbstractContextManager[None]],
) -> Iterator[Batch]:
    """Yield the batches of the steps from `start` up to `stop`; the batches of a round are chosen when it begins.

    They may be chosen by the weights as they are then: `whole` makes these an ordinary network's.
    """
    while start < stop:
        last = min(stop, (start // sampler.round_steps + 1) * sampler.round_steps)
        with torch.random.fork_rng(devices=[]):  # a resumed training draws no other random numbers
            with whole():
                sampler.renew(start)
            batches = load(start, last)
        yield from batches
        start = last


@contextmanager
def _observers(fabric: "Fabric", state: Run, params: TrainParams, run: str) -> Iterator[tuple[Curve, Any]]:
    """Open the live curve (on the first process only) and the progress bar; both are closed whatever happens."""
    curve: Curve = LiveCurve(LIVE / run, state.step > 0) if fabric.is_global_zero else NoCurve()
    total, done = params.steps * params.batch_size, state.step * params.batch_size
    with closing(curve), progress(total=total, initial=done, desc=run.replace("/", "-"), unit="img") as bar:
        yield curve, bar
