"""Applying a trained network to many pictures, in order and without gradients."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.progress import progress
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, Slice, loader, sequential_slices
from fieldmark.datasets.data.batches.transforms import ImageParams, evaluation_transform
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.runtime.device import moved, pick_device
from fieldmark.runtime.distributed import gather, process_count, process_rank
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.workers import loader_workers

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

    A batch holds `images`, `labels` and `indices` (within the data set) on the device of `model`. Where several
    processes run, all of them must call this: each has a part of the same batches, and all get all rows.
    """
    device = torch.device(pick_device(runtime))
    model.to(device).eval()
    slices = sequential_slices(len(dataset), INFERENCE_BATCH)
    mine = own_slices(slices)
    out: Tensor | None = None
    done = 0
    batches = loader(dataset, mine, loader_workers(runtime), pin=device.type == "cuda")
    for part, batch in zip(mine, progress(batches, total=len(mine), desc=desc, unit="batch"), strict=True):
        rows = function({name: moved(value, device) for name, value in batch.items()}).float()
        if len(rows) != len(part.indices):
            raise RuntimeError(f"{len(part.indices)} pictures went in, {len(rows)} rows came out")
        out = _room(len(dataset), rows) if out is None else out
        for first, values in _of_all(slices[done : done + process_count()], rows, len(slices[0].indices)):
            out[first : first + len(values)] = values.cpu()
        done += process_count()
    if out is None or done < len(slices):
        raise RuntimeError(f"{len(dataset)} pictures went in, {done} of {len(slices)} batches came out")
    return out


def _room(count: int, rows: Tensor) -> Tensor:
    """Return an array on the CPU for `count` of such rows, with channels where they have them.

    The order of numbers in memory decides in which order a product sums them, and so how results round.
    """
    last = rows.dim() == 4 and rows.shape[1] > 1 and rows.stride(1) == 1
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty((count, *rows.shape[1:]), dtype=rows.dtype, memory_format=layout)


def own_slices(slices: list[Slice]) -> list[Slice]:
    """Return the slices of this process: every n-th of n processes, and as many for each.

    Those that have none left compute the last once more: nobody writes it, but they take part in gathering.
    """
    count = process_count()
    return [slices[min(first + process_rank(), len(slices) - 1)] for first in range(0, len(slices), count)]


def _of_all(slices: list[Slice], rows: Tensor, length: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the first index and the rows of each of `slices`, one of each process; `rows` are this process's.

    To gather them all must have as many, `length`: the last slice is filled up.
    """
    if process_count() == 1:
        yield slices[0].indices[0], rows
        return
    filled = rows.new_zeros(length, *rows.shape[1:])
    filled[: len(rows)] = rows
    for part, values in zip(slices, gather(filled).split(length), strict=False):
        yield part.indices[0], values[: len(part.indices)]
