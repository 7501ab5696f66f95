"""Following the losses: training curve, live metrics, and an early end for a run that has gone wrong."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd
import torch
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder
from fieldmark.runtime.sharding import own_part

WINDOW = 10  # steps per point of the training curve
EXPLOSION = 1e3  # a loss this many times its first value has exploded

Point = dict[str, float]
Pending = list[tuple[int, dict[str, Tensor]]]  # steps with their losses, which are not in the curve yet


class LossMonitor:
    """Collects each step's losses on the device and reads them once per window: to read is to wait for the device."""

    def __init__(self, module: nn.Module, history: list[Point], pending: Pending | None = None) -> None:
        self.module, self.history = module, history
        self.pending: Pending = [] if pending is None else pending

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """Remember the losses of a step without reading them."""
        self.pending.append((step, {name: value.detach().float() for name, value in losses.items()}))

    def read(self, lr: float) -> Point:
        """Check all pending losses and append their mean to the history. Raises UserError for NaN or an explosion."""
        names = list(self.pending[0][1])
        table = torch.stack([torch.stack([losses[n] for n in names]) for _, losses in self.pending]).cpu()
        for (step, _), row in zip(self.pending, table.tolist(), strict=True):
            self._check(step, dict(zip(names, row, strict=True)))
        means = dict(zip(names, table.mean(0).tolist(), strict=True))
        point: Point = {"step": self.pending[-1][0] + 1, "lr": lr, **means}
        self.pending.clear()
        self.history.append(point)
        return point

    def _check(self, step: int, losses: dict[str, float]) -> None:
        wrong = sorted((n for n, v in losses.items() if not math.isfinite(v)), key=lambda n: n == "loss")
        if wrong:
            raise UserError(
                f"step {step + 1}: loss '{wrong[0]}' is {losses[wrong[0]]}{self._first_bad_weight()}; "
                "lower train.lr or set train.clip_norm"
            )
        first = abs(self.history[0]["loss"]) if self.history else math.inf
        if abs(losses["loss"]) > EXPLOSION * (first + 1.0):
            worst = max((n for n in losses if n != "loss"), key=lambda n: abs(losses[n]), default="loss")
            raise UserError(
                f"step {step + 1}: the loss exploded to {losses['loss']:.3g} (it began at {first:.3g}), most of "
                f"it from '{worst}'; lower train.lr or set train.clip_norm"
            )

    def _first_bad_weight(self) -> str:
        for name, parameter in self.module.named_parameters():
            if not bool(torch.isfinite(own_part(parameter)).all()):
                return f" and weight {name} is no longer finite"
        return ""


class Curve(Protocol):
    """What a training curve is told while it grows."""

    def add(self, point: Point) -> None:
        """Log one point of the curve."""

    def close(self) -> None:
        """Write what is still open."""


class NoCurve:
    """For processes that do not log."""

    def add(self, point: Point) -> None:
        """Log nothing."""

    def close(self) -> None:
        """Close nothing."""


class LiveCurve:
    """Writes the training curve to `live/<run>` while it grows, for DVCLive's viewers."""

    def __init__(self, folder: Path, resumed: bool) -> None:
        from dvclive.live import Live  # brings DVC along: who reads a trained model does not wait for it

        self.live = Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None, resume=resumed)

    def add(self, point: Point) -> None:
        """Log one point of the curve."""
        self.live.step = int(point["step"])
        for name, value in point.items():
            if name != "step":
                self.live.log_metric(name, value, plot=True)
        self.live.make_summary()

    def close(self) -> None:
        """Write what is still open."""
        self.live.end()


def write_curves(folder: Path, curves: Mapping[str, list[Point]]) -> None:
    """Write each training curve to `folder/<name>.csv`: step, learning rate and losses per point.

    The name of a method's curve is that of the variant and its seed, such as `R/0`.
    """
    with atomic_folder(folder) as temporary:
        for name, points in curves.items():
            path = temporary / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(points).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
