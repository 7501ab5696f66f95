"""The pretext task on pictures that were not trained on: how often a patch is put in its place."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.datasets.data.batches.loading import PictureDataset, loader, sequential_slices
from fieldmark.datasets.data.batches.transforms import evaluation_transform
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference
from fieldmark.methods.loca.model.method import Loca, Pretext
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.inference import INFERENCE_BATCH

MOST = 256  # pictures looked at


@dataclass(frozen=True)
class Positions:
    """Counts of patches by picture, (N,) each; `places` is the number of reference patches to choose from.

    `eta` is the fraction of them that was hidden.
    """

    correct: NDArray[np.int64]
    valid: NDArray[np.int64]
    places: int
    eta: float
    shown: Pretext  # of the first batch
    pictures: NDArray[np.uint8]  # of the first batch, (B, H, W, 3)

    @property
    def chance(self) -> float:
        """The share of right answers of a blind guess."""
        return 1 / self.places

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
    spread = np.unique(np.linspace(0, len(subset) - 1, min(MOST, len(subset))).astype(np.int64))
    chosen = Subset(subset.frame.iloc[spread])
    return {name: _predicted(model, task, chosen) for name, model in models.items() if model.has_pretext}


def accuracy_difference(first: Positions, second: Positions) -> Interval:
    """Return the mean over pictures of the accuracy of `first` minus that of `second`, with its interval."""
    both = (first.valid > 0) & (second.valid > 0)
    left, right = (one.correct[both] / one.valid[both] for one in (first, second))
    return paired_difference(left, right, np.flatnonzero(both))


@torch.inference_mode()
def _predicted(model: Loca, task: Task, subset: Subset) -> Positions:
    device = torch.device(pick_device(task.runtime))
    model.to(device).eval()
    dataset = PictureDataset(
        task.store, subset.rows, subset.labels, evaluation_transform(model.params.images)
    )
    slices = sequential_slices(len(subset), INFERENCE_BATCH)
    batches = [batch["images"] for batch in loader(dataset, slices, task.runtime.workers)]
    found = [model.pretext(one.to(device), number * INFERENCE_BATCH) for number, one in enumerate(batches)]
    side = model.params.views.reference_size // model.backbone.spec.stride
    return Positions(
        torch.cat([one.correct for one in found]).cpu().numpy(),
        torch.cat([one.valid for one in found]).cpu().numpy(),
        side * side,
        model.params.eta,
        found[0],
        batches[0].permute(0, 2, 3, 1).numpy(),
    )
