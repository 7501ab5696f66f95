"""Applying a trained network to many pictures, in order and without gradients."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.progress import progress
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, loader, sequential_slices
from fieldmark.datasets.data.batches.transforms import ImageParams, evaluation_transform
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.params import RuntimeParams

INFERENCE_BATCH = 64


def run_rows(
    model: torch.nn.Module,
    function: Callable[[Tensor], Tensor],
    store: ImageStore,
    rows: NDArray[np.int64],
    images: ImageParams,
    runtime: RuntimeParams,
    desc: str,
) -> Tensor:
    """Apply `function` (images (B, 3, H, W) -> (B, D)) to the pictures at `rows` (N,) of `store`.

    Returns (N, D), float32 on the CPU. `model` is what `function` uses: it is put on the device and in eval mode.
    """
    dataset = PictureDataset(store, rows, np.zeros(len(rows), np.int64), evaluation_transform(images))
    return run_dataset(model, lambda batch: function(batch["images"]), dataset, runtime, desc)


@torch.inference_mode()
def run_dataset(
    model: torch.nn.Module,
    function: Callable[[Batch], Tensor],
    dataset: PictureDataset,
    runtime: RuntimeParams,
    desc: str,
) -> Tensor:
    """Apply `function` to every batch of `dataset` in order; return all rows together, float32 on the CPU.

    A batch holds `images`, `labels` and `indices` (within the data set) on the device of `model`.
    """
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
