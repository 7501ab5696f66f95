"""Running a trained network over many pictures, in order, without gradients."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.datasets.loading import PictureDataset, loader, sequential_slices
from fieldmark.datasets.store import ImageStore
from fieldmark.datasets.transforms import ImageParams, evaluation_transform
from fieldmark.engine.loop import pick_device
from fieldmark.engine.method import Subset, Task
from fieldmark.engine.params import RuntimeParams
from fieldmark.progress import progress

INFERENCE_BATCH = 64


@torch.inference_mode()
def run_over(
    model: torch.nn.Module,
    function: Callable[[Tensor], Tensor],
    task: Task,
    subset: Subset,
    images: ImageParams,
    desc: str,
) -> Tensor:
    """Apply `function` (B, 3, H, W) -> (B, D) to every picture of `subset`; return (N, D) float32 on the CPU.

    `model` is what `function` uses: it is put on the task's device and in eval mode.
    """
    return run_rows(model, function, task.store, subset.rows, images, task.runtime, desc)


@torch.inference_mode()
def run_rows(
    model: torch.nn.Module,
    function: Callable[[Tensor], Tensor],
    store: ImageStore,
    rows: NDArray[np.int64],
    images: ImageParams,
    runtime: RuntimeParams,
    desc: str,
) -> Tensor:
    """Apply `function` to the pictures at `rows` (N,) of `store`, as `run_over` does; return (N, D)."""
    device = torch.device(pick_device(runtime))
    model.to(device).eval()
    dataset = PictureDataset(store, rows, np.zeros(len(rows), np.int64), evaluation_transform(images))
    slices = sequential_slices(len(rows), INFERENCE_BATCH)
    parts = []
    for batch in progress(
        loader(dataset, slices, runtime.workers), total=len(slices), desc=desc, unit="batch"
    ):
        parts.append(function(batch["images"].to(device)).float().cpu())
    out = torch.cat(parts)
    if len(out) != len(rows):
        raise RuntimeError(f"{len(rows)} pictures went in, {len(out)} rows came out")
    return out
