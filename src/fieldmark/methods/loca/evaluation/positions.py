"""The pretext task on pictures that were not trained on: how often a patch is put at its position."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference
from fieldmark.methods.loca.model.method import Loca, Pretext
from fieldmark.methods.loca.model.network import reference_patches

MAX_PICTURES = 256  # looked at


@dataclass(frozen=True)
class Positions:
    """Counts of patches by picture, (N,) each; `patches` is the number of reference patches to choose from."""

    correct: NDArray[np.int64]
    valid: NDArray[np.int64]
    patches: int
    shown: Pretext  # of the first batch
    rows: NDArray[np.int64]  # of all pictures in the image store, (N,)

    @property
    def chance(self) -> float:
        """The fraction of right answers when guessing blindly."""
        return 1 / self.patches

    @property
    def accuracy(self) -> Interval:
        """Right answers over all valid patches of all queries, with its interval over pictures."""
        wrong = self.valid - self.correct
        answers = np.tile([1.0, 0.0], len(self.valid))
        counts = np.stack([self.correct, wrong], axis=1).ravel()
        pictures = np.repeat(np.arange(len(self.valid)), self.valid)
        return interval(np.repeat(answers, counts), pictures)


def predict_positions(models: Mapping[str, Loca], task: Task) -> dict[str, Positions]:
    """Score every variant that has a position classifier on (at most 256) test pictures."""
    subset = task.subset("test")
    count = min(MAX_PICTURES, len(subset))
    spread = np.unique(np.linspace(0, len(subset) - 1, count).astype(np.int64))
    chosen = Subset(subset.frame.iloc[spread])
    return {
        name: _predicted(name, model, task, chosen) for name, model in models.items() if model.has_pretext
    }


def accuracy_difference(first: Positions, second: Positions) -> Interval:
    """Return the mean over pictures of the accuracy of `first` minus that of `second`, with its interval."""
    both = (first.valid > 0) & (second.valid > 0)
    left, right = (side.correct[both] / side.valid[both] for side in (first, second))
    return paired_difference(left, right, np.flatnonzero(both))


def _predicted(name: str, model: Loca, task: Task, subset: Subset) -> Positions:
    shown: list[Pretext] = []

    def count(batch: Batch) -> Tensor:
        pretext = model.pretext(batch["images"], int(batch["indices"][0]))
        if not shown:
            shown.append(pretext)
        return torch.stack([pretext.correct, pretext.valid], dim=1)

    counts = task.run_batches(model, count, subset, model.params.images, f"{name} positions").long()
    patches = reference_patches(model.params, model.backbone)
    return Positions(counts[:, 0].numpy(), counts[:, 1].numpy(), patches, shown[0], subset.rows)
