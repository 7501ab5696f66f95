"""Trained backbones and CLIPs as small files that others start from: half precision, and where they come from."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, sha256_file, write_json


@dataclass(frozen=True)
class Trained:
    """A network that was trained here.

    `weights` is its file, `prefix` what its tensors' names begin with, `recipe` the blocks of params.yaml that
    made it, `metrics` its scores, `seconds` how long its training took.
    """

    name: str
    weights: Path
    prefix: str
    recipe: dict[str, Any]
    metrics: dict[str, float]
    seconds: float


def publish(trained: Trained, folder: Path, revision: str) -> Path:
    """Write `folder/<name>.safetensors` and a JSON file of that name beside it; return the former.

    Raises UserError when the network has not been trained.
    """
    if not trained.weights.is_file():
        raise UserError(
            f"{trained.weights} does not exist; train it first, with `make repro PRESET=world-pretrain`"
        )
    state = {
        key.removeprefix(trained.prefix): halved(value) for key, value in load_file(trained.weights).items()
    }
    path = folder / f"{trained.name}.safetensors"
    with atomic_path(path) as temporary:
        save_file(state, temporary)
    write_json(folder / f"{trained.name}.json", _origin(trained, state, sha256_file(path), revision))
    return path


def halved(value: Tensor) -> Tensor:
    """Return a matrix or kernel in half precision; a vector as it is, since variances may be too small for it."""
    return value.half() if value.is_floating_point() and value.ndim > 1 else value


def _origin(trained: Trained, state: dict[str, Tensor], digest: str, revision: str) -> dict[str, Any]:
    return {
        "sha256": digest,
        "parameters": sum(value.numel() for value in state.values()),
        "recipe": trained.recipe,
        "revision": revision,
        "metrics": trained.metrics,
        "hours": round(trained.seconds / 3600, 2),
        "machine": f"{torch.get_num_threads()} cores, {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
    }


def read_metrics(path: Path) -> dict[str, float]:
    """Return the scores of a network. Raises UserError when it has not been scored."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; score the network first, with `dvc repro`")
    metrics: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return metrics


def read_seconds(folder: Path) -> float:
    """Return how long the training took that left its live curve in `folder`; 0 where there is none."""
    path = folder / "metrics.json"
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.is_file() else 0.0
