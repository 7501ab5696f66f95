"""Following the losses: training curve, live metrics, and an early end for a run that has gone wrong."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from dvclive.live import Live
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder

WINDOW = 10  # steps per point of the training curve
EXPLOSION = 1e3  # a loss this many times its first level has exploded

Point = dict[str, float]


class LossWatch:
    """Collects each step's losses on the device and reads them once per window, so as not to wait for it."""

    def __init__(self, module: nn.Module, history: list[Point]) -> None:
        self.module, self.history = module, history
        self.pending: list[tuple[int, dict[str, Tensor]]] = []

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """Remember the losses of a step without reading them."""
        self.pending.append((step, {name: value.detach().float() for name, value in losses.items()}))

    def read(self, lr: float) -> Point:
        """Check all pending losses and append their mean to the history. Raises UserError on a bad one."""
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
            if not bool(torch.isfinite(parameter).all()):
                return f" and weight {name} is no longer finite"
        return ""


class LiveCurve:
    """Writes the training curve to `live/<run>` while it grows, for DVCLive's viewers."""

    def __init__(self, folder: Path, resumed: bool) -> None:
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


def no_curve() -> Any:
    """Return a stand-in for processes that do not log."""

    class Silent:
        def add(self, point: Point) -> None: ...

        def close(self) -> None: ...

    return Silent()


def write_curves(folder: Path, curves: dict[str, list[Point]]) -> None:
    """Write each training curve to `folder/<variant>.csv`: step, learning rate and losses per point."""
    with atomic_folder(folder) as temporary:
        for variant, points in curves.items():
            names = list(dict.fromkeys(name for point in points for name in point))
            rows = [[f"{point[name]:.6g}" if name in point else "" for name in names] for point in points]
            text = "\n".join(",".join(row) for row in [names, *rows])
            (temporary / f"{variant}.csv").write_text(text + "\n", encoding="utf-8")


def read_curves(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Read what `write_curves` wrote: variant -> column -> values; a missing value is NaN."""
    curves = {}
    for path in sorted(folder.glob("*.csv")):
        header, *rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        columns = zip(*rows, strict=True)
        curves[path.stem] = {
            name: [float(value or "nan") for value in column]
            for name, column in zip(header, columns, strict=False)
        }
    return curves


def curves_by_loss(
    curves: Mapping[str, Mapping[str, list[float]]],
) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Turn what `read_curves` returns into loss -> variant -> (steps, values)."""
    losses: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for variant, columns in curves.items():
        for name, values in columns.items():
            if name not in ("step", "lr"):
                losses.setdefault(name, {})[variant] = (columns["step"], values)
    return losses
