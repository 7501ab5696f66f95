"""Running a trained network over many pictures, in order, without gradients."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.progress import progress
from fieldmark.contract.method import Subset, Task
from fieldmark.datasets.data.loading import Batch, PictureDataset, loader, sequential_slices
from fieldmark.datasets.data.store import ImageStore
from fieldmark.datasets.data.transforms import ImageParams, evaluation_transform
from fieldmark.engine.loop import pick_device
from fieldmark.engine.params import RuntimeParams

INFERENCE_BATCH = 64


def run_over(
    model: torch.nn.Module,
    function: Callable[[Tensor], Tensor],
    task: Task,
    subset: Subset,
    images: ImageParams,
    desc: str,
) -> Tensor:
    """Apply `function` (images (B, 3, H, W) -> (B, D)) to the pictures of `subset`; return (N, D) on the CPU.

    `model` is what `function` uses: it is put on the task's device and in eval mode.
    """
    return run_rows(model, function, task.store, subset.rows, images, task.runtime, desc)


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
    dataset = PictureDataset(store, rows, np.zeros(len(rows), np.int64), evaluation_transform(images))
    return _run(model, lambda batch: function(batch["images"]), dataset, runtime, desc)


def run_batches(
    model: torch.nn.Module,
    function: Callable[[Batch], Tensor],
    task: Task,
    subset: Subset,
    images: ImageParams,
    desc: str,
) -> Tensor:
    """Apply `function` to every batch of `subset` in order; its rows, joined, come back float32 on the CPU.

    A batch holds `images`, `labels` and `indices` (positions within `subset`) on the task's device. `model` as
    in `run_over`.
    """
    dataset = PictureDataset(task.store, subset.rows, subset.labels, evaluation_transform(images))
    return _run(model, function, dataset, task.runtime, desc)


@torch.inference_mode()
def _run(
    model: torch.nn.Module,
    function: Callable[[Batch], Tensor],
    dataset: PictureDataset,
    runtime: RuntimeParams,
    desc: str,
) -> Tensor:
    device = torch.device(pick_device(runtime))
    model.to(device).eval()
    slices = sequential_slices(len(dataset), INFERENCE_BATCH)
    parts = []
    for batch in progress(
        loader(dataset, slices, runtime.workers), total=len(slices), desc=desc, unit="batch"
    ):
        parts.append(function({name: value.to(device) for name, value in batch.items()}).float().cpu())
    out = torch.cat(parts)
    if len(out) != len(dataset):
        raise RuntimeError(f"{len(dataset)} pictures went in, {len(out)} rows came out")
    return out
