"""The pretext task on pictures that were not trained on: how often a patch is put at its position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.bootstrap import Interval, paired_difference, ratio_interval
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.network import reference_patches
from fieldmark.methods.loca.model.pretext import Pretext

MAX_PICTURES = 256  # looked at


@dataclass(frozen=True)
class Positions:
    """Counts of patches by picture, (N,) each, of one model; `patches` is the number of those to choose from."""

    correct: NDArray[np.int64]
    valid: NDArray[np.int64]
    patches: int
    shown: Pretext  # of the first batch
    rows: NDArray[np.int64]  # of all pictures in the image store, (N,)

    @property
    def chance(self) -> float:
        """The fraction of right answers when guessing blindly."""
        return 1 / self.patches


PositionRuns = Mapping[str, Sequence[Positions]]  # of each variant, one per seed


def position_accuracy(by_seed: Sequence[Positions]) -> Interval:
    """Return right answers over all valid patches of all queries, with the interval over pictures and seeds."""
    return ratio_interval([one.correct for one in by_seed], [one.valid for one in by_seed])


def predict_positions(models: Mapping[str, Sequence[Loca]], task: Task) -> dict[str, list[Positions]]:
    """Score every variant that has a position classifier on (at most 256) test pictures."""
    subset = task.subset("test")
    count = min(MAX_PICTURES, len(subset))
    spread = np.unique(np.linspace(0, len(subset) - 1, count).astype(np.int64))
    chosen = Subset(subset.frame.iloc[spread])
    return {
        name: [_predicted(name, model, task, chosen) for model in by_seed]
        for name, by_seed in models.items()
        if by_seed[0].has_pretext
    }


def accuracy_difference(first: Sequence[Positions], second: Sequence[Positions]) -> Interval:
    """Return the mean over pictures of the accuracy of `first` minus that of `second`, with its interval.

    Pictures count where every model was asked for a position; the views differ from seed to seed.
    """
    asked = np.all([one.valid > 0 for one in (*first, *second)], axis=0)
    left, right = ([one.correct[asked] / one.valid[asked] for one in side] for side in (first, second))
    return paired_difference(left, right, np.flatnonzero(asked))


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
