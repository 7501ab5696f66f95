"""Features of a frozen backbone for the pictures that a stage scores, computed once for all the models it scores."""

import json
from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.task import Subset, Task
from fieldmark.engine.trainable import Trainable
from fieldmark.vision.backbones import Backbone, digest

LARGEST = 1_000_000_000  # bytes of features that are kept in memory; more are computed anew for each model


class SharedFeatures:
    """Applies one model after the other to pictures of a task.

    Models on the same frozen backbone share its features: the first one computes them. Every model gives what it would
    give alone, to the bit, for it sees the same numbers in the same batches.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._kept: dict[str, list[Batch]] = {}

    @torch.inference_mode()
    def run(
        self,
        model: Trainable,
        function: Callable[[Batch], Tensor],
        subset: Subset,
        images: ImageParams,
        desc: str,
    ) -> Tensor:
        """Apply `function` to every batch of `subset` in order, as `Task.run_batches` does; return (N, ...) on the CPU.

        A batch carries the features of the model's `feature_source` in place of pictures, where it has one.
        """
        source = model.feature_source()
        if source is None:
            return self.task.run_batches(model, function, subset, images, desc)
        key = _key(source, subset, images)
        if key in self._kept:
            model.to(source.mean.device).eval()
            return torch.cat([function(batch).float().cpu() for batch in self._kept[key]])
        seen = _Seen(source, LARGEST - self._bytes)
        out = self.task.run_batches(model, lambda batch: function(seen(batch)), subset, images, desc)
        if seen.batches:
            self._kept[key] = seen.batches
        return out

    @property
    def _bytes(self) -> int:
        return sum(_bytes(batch) for batches in self._kept.values() for batch in batches)


class _Seen:
    """Replaces pictures by features and remembers these batches; it forgets all where they take more than `room`."""

    def __init__(self, source: Backbone, room: int) -> None:
        self.source, self.room = source, room
        self.batches: list[Batch] = []

    def __call__(self, batch: Batch) -> Batch:
        rest = {name: value for name, value in batch.items() if name != "images"}
        featured = {**rest, **self.source(batch["images"]).named()}
        self.room -= _bytes(featured)
        if self.room >= 0:
            self.batches.append(featured)
        else:
            self.batches.clear()
        return featured


def _key(source: Backbone, subset: Subset, images: ImageParams) -> str:
    """Return what features depend on, beside the store of the task and its device."""
    return json.dumps([digest(source), subset.rows.tolist(), images.model_dump(mode="json")])


def _bytes(batch: Batch) -> int:
    return sum(value.nbytes for value in batch.values())
