"""What a model makes of the test pictures: scores, and every measure of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.multilabel import multi_hot, training_counts
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.multilabel import frequency_masks, mean_intervals, multilabel_map, resampled_ap
from fieldmark.evaluation.thresholds import label_scores
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.runtime.inference import run_over
from fieldmark.texts.prompts import Prompts


@dataclass(frozen=True)
class Truth:
    """The test pictures and what is in them."""

    subset: Subset
    names: list[str]
    targets: Array  # (N, C) of 0 and 1
    counts: Array  # (C,) training pictures of each category
    groups: Mapping[str, Array]  # which categories are of the head, the middle and the tail

    @property
    def by_frequency(self) -> Array:
        """The categories from the most frequent in training to the rarest, (C,)."""
        order: Array = np.argsort(-self.counts, kind="stable")
        return order


@dataclass(frozen=True)
class Scored:
    """What one variant says: `ranks` (N, C) order the pictures, `scores` (N, C) meet the `thresholds` (C,), if any."""

    truth: Truth
    ranks: Array
    scores: Array
    thresholds: Array | None

    @cached_property
    def ap(self) -> Array:
        """Average precision of each category, (C,), NaN where the test has no picture of it."""
        found: Array = multilabel_map(self.ranks, self.truth.targets)["ap"]
        return found

    @cached_property
    def draws(self) -> Array:
        """Average precisions over resampled pictures, (resamples, C); the same draws for every variant."""
        return resampled_ap(self.ranks, self.truth.targets)

    @cached_property
    def means(self) -> dict[str, Interval]:
        """`map` and the means over the groups that have a category to score."""
        return mean_intervals(self.ap, self.draws, self.truth.groups)

    @cached_property
    def decisions(self) -> dict[str, float]:
        """Overall and per-category precision, recall and F1 under the thresholds; nothing without any."""
        if self.thresholds is None:
            return {}
        return label_scores(self.scores, self.truth.targets, self.thresholds)


def read_truth(task: Task, names: list[str]) -> Truth:
    """Look up what the test pictures hold. Raises UserError when it is nothing."""
    subset = task.subset("test")
    targets = multi_hot(task.manifest, subset.frame, names)
    if not targets.any():
        raise UserError("no test picture has a label; nothing can be scored")
    counts = training_counts(task.manifest, task.split, names)
    return Truth(subset, names, targets, counts, frequency_masks(counts, len(names), task.head, task.tail))


def score(name: str, model: Cprfl, truth: Truth, task: Task) -> Scored:
    """Score the test pictures with one variant. Raises UserError for scores that are not finite."""
    logits = run_over(model, model.logits, task, truth.subset, model.params.images, name)
    if not bool(logits.isfinite().all()):
        raise UserError(f"variant {name} gives scores that are not finite; train it again with a lower rate")
    thresholds = model.thresholds.cpu().double().numpy()
    return Scored(truth, logits.double().numpy(), logits.sigmoid().double().numpy(), thresholds)


def zero_shot(prompts: Prompts, truth: Truth, task: Task) -> Scored | None:
    """Score by the cosine of CLIP's picture and text embeddings; None when the pictures were not embedded.

    Nothing is trained. Thresholds are chosen on the validation pictures as for every variant; a cosine has no
    threshold of its own, so that without such pictures nothing is decided.
    """
    if prompts.image_embeddings is None:
        return None
    cosines = (normalize(prompts.image_embeddings, dim=1) @ normalize(prompts.embeddings, dim=1).T).double()
    scores, val = _of(truth.subset, cosines), task.subset("val")
    targets = multi_hot(task.manifest, val.frame, truth.names)
    thresholds = choose_thresholds(_of(val, cosines), targets) if targets.any() else None
    return Scored(truth, scores, scores, thresholds)


def difference(first: Scored, second: Scored) -> dict[str, Interval]:
    """Return the means of `first` minus those of `second`, paired by picture."""
    return mean_intervals(first.ap - second.ap, first.draws - second.draws, first.truth.groups)


def _of(subset: Subset, table: Tensor) -> Array:
    rows: Any = table.numpy()[subset.rows]
    return np.asarray(rows)
