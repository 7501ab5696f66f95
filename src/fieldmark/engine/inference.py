"""Running a trained network over many pictures, in order, without gradients."""

from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.datasets.loading import Batch, PictureDataset, loader, sequential_slices
from fieldmark.datasets.transforms import ImageParams, evaluation_transform
from fieldmark.engine.loop import pick_device
from fieldmark.engine.method import Subset, Task
from fieldmark.progress import progress

INFERENCE_BATCH = 64


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
    return run_batches(model, lambda batch: function(batch["images"]), task, subset, images, desc)


@torch.inference_mode()
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
    device = torch.device(pick_device(task.runtime))
    model.to(device).eval()
    dataset = PictureDataset(task.store, subset.rows, subset.labels, evaluation_transform(images))
    slices = sequential_slices(len(subset), INFERENCE_BATCH)
    parts = []
    for batch in progress(
        loader(dataset, slices, task.runtime.workers), total=len(slices), desc=desc, unit="batch"
    ):
        parts.append(function({name: value.to(device) for name, value in batch.items()}).float().cpu())
    out = torch.cat(parts)
    if len(out) != len(subset):
        raise RuntimeError(f"{len(subset)} pictures went in, {len(out)} rows came out")
    return out
