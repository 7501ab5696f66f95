"""Scoring pictures with several labels each: what the evaluation of every multi-label method shares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.multilabel import training_counts
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.multilabel import mean_intervals, multilabel_map, resampled_ap
from fieldmark.evaluation.thresholds import label_scores
from fieldmark.figures.chosen import evenly
from fieldmark.longtail.frequency import frequency_masks
from fieldmark.protocols.seeds import mean_over
from fieldmark.texts.prompts import Prompts

AT_ONCE = 2**22  # scores that are put in order at a time
ZERO_SHOT = "zero-shot"
ZERO_SHOT_TITLE = "CLIP without training: cosine of picture and name"

Chooser = Callable[[Array, Array], Array]  # scores and targets (N, C) -> one threshold per category, (C,)


@dataclass(frozen=True)
class Truth:
    """The test pictures and what is in them."""

    subset: Subset
    names: list[str]
    targets: Array  # (N, C) of 0 and 1
    counts: Array  # (C,) training pictures of each category
    groups: Mapping[str, Array]  # which categories are of the head, the medium and the tail

    @property
    def by_frequency(self) -> Array:
        """The categories from the most frequent in training to the rarest, (C,)."""
        order: Array = np.argsort(-self.counts, kind="stable")
        return order

    @property
    def untested(self) -> list[str]:
        """Names of the categories that no test picture holds; they have no average precision."""
        return [self.names[index] for index in np.flatnonzero(~self.targets.any(axis=0))]


@dataclass(frozen=True)
class Scored:
    """What one model says of the N test pictures.

    `ranks` (N, C) order the pictures; `scores` (N, C) are compared with `thresholds` (C,), where there are any. Both
    are in float32, as they come: what is computed of them is computed in float64.
    """

    truth: Truth
    ranks: Array
    scores: Array
    thresholds: Array | None

    @cached_property
    def ap(self) -> Array:
        """Average precision of each category, (C,), NaN where no test picture shows it."""
        ap: Array = multilabel_map(self.ranks, self.truth.targets)["ap"]
        return ap

    @cached_property
    def draws(self) -> Array:
        """Average precisions over resampled pictures, (resamples, C); the same draws for every variant."""
        return resampled_ap(self.ranks, self.truth.targets)

    @cached_property
    def means(self) -> dict[str, Interval]:
        """`map` and the means over the groups that have a category to score."""
        return mean_intervals(self.ap[None], self.draws[None], self.truth.groups)

    @cached_property
    def decisions(self) -> dict[str, float]:
        """Overall and per-category precision, recall and F1 under the thresholds; empty without thresholds."""
        if self.thresholds is None:
            return {}
        return label_scores(self.scores, self.truth.targets, self.thresholds)


def read_truth(task: Task, names: list[str]) -> Truth:
    """Look up what the test pictures hold. Raises UserError when none of them has a label."""
    subset = task.subset("test")
    targets = task.targets(subset, names)
    if not targets.any():
        raise UserError("no test picture has a label; nothing can be scored")
    counts = training_counts(task.manifest, task.split, names)
    groups = frequency_masks(counts, task.split_params.head, task.split_params.tail)
    return Truth(subset, names, targets, counts, groups)


def score(name: str, logits: Tensor, thresholds: Tensor, truth: Truth) -> Scored:
    """Score one model by its logits (N, C) of the test pictures; `thresholds` (C,) are of probabilities.

    Logits rank the pictures, for probabilities saturate. Raises UserError for logits that are not finite.
    """
    if not bool(logits.isfinite().all()):
        raise UserError(f"variant {name} gives scores that are not finite; train it again with a lower rate")
    return Scored(truth, logits.numpy(), logits.sigmoid().numpy(), thresholds.cpu().double().numpy())


def zero_shot(prompts: Prompts, truth: Truth, task: Task, choose: Chooser) -> Scored | None:
    """Score by the cosine of CLIP's picture and text embeddings; None when the pictures were not embedded.

    Nothing is trained. Thresholds are chosen on the validation pictures as for every variant; a cosine has no
    threshold of its own, so that without such pictures nothing is decided.
    """
    if prompts.image_embeddings is None:
        return None
    cosines = normalize(prompts.image_embeddings, dim=1) @ normalize(prompts.embeddings, dim=1).T
    scores, val = _of(truth.subset, cosines), task.subset("val")
    targets = task.targets(val, truth.names)
    thresholds = choose(_of(val, cosines), targets) if targets.any() else None
    return Scored(truth, scores, scores, thresholds)


def measured(by_seed: Sequence[Scored]) -> dict[str, Any]:
    """Return all that is measured of a variant, over its seeds: means with their intervals, and the decisions."""
    decisions = [scored.decisions for scored in by_seed]
    return {
        **mean_intervals(*_resampled(by_seed), by_seed[0].truth.groups),
        **{name: mean_over([said[name] for said in decisions]) for name in decisions[0]},
    }


def difference(first: Sequence[Scored], second: Sequence[Scored]) -> dict[str, Interval]:
    """Return the means of `first` minus those of `second`, paired by picture and by seed."""
    (ap, draws), (other_ap, other_draws) = _resampled(first), _resampled(second)
    return mean_intervals(ap - other_ap, draws - other_draws, first[0].truth.groups)


def _resampled(by_seed: Sequence[Scored]) -> tuple[Array, Array]:
    """Return the average precisions of each seed, (S, C), and over resampled pictures, (S, resamples, C)."""
    return np.stack([scored.ap for scored in by_seed]), np.stack([scored.draws for scored in by_seed])


def counted(truth: Truth, task: Task) -> dict[str, int | float | str]:
    """Return the counts that the report shows: of pictures, and of categories by frequency."""
    frequent = truth.counts[truth.counts > 0]
    return {
        "test pictures": len(truth.subset),
        "training pictures": len(task.subset("train")),
        "validation pictures": len(task.subset("val")),
        "categories": len(truth.names),
        **{f"of the {name}": int(mask.sum()) for name, mask in truth.groups.items()},
        "imbalance": float(frequent.max() / frequent.min()),
        "labels per test picture": float(truth.targets.sum(1).mean()),
    }


def by_category(scored: Mapping[str, Sequence[Scored]], truth: Truth) -> dict[str, Any]:
    """Return training pictures, test pictures and every variant's average precision (mean over seeds), by category."""
    precision = {name: np.mean([one.ap for one in by_seed], axis=0) for name, by_seed in scored.items()}
    return {
        truth.names[index]: {
            "training pictures": int(truth.counts[index]),
            "test pictures": int(truth.targets[:, index].sum()),
            "ap": {name: _finite(ap[index]) for name, ap in precision.items()},
        }
        for index in truth.by_frequency
    }


def pictures_by_rule(scored: Scored, count: int) -> list[int]:
    """Choose test pictures with a label evenly from the worst ranked to the best.

    A fixed rule, so that nobody picks what looks good. Pictures with two labels or more (with any label, when there
    are too few of these) are ordered by how high their categories rank; of each of `count` equal parts the middle
    one is taken.
    """
    labels = scored.truth.targets.sum(axis=1)
    able = np.flatnonzero(labels >= 2) if (labels >= 2).sum() >= count else np.flatnonzero(labels)
    quality = ranking_quality(scored.scores[able], scored.truth.targets[able])
    order = able[np.argsort(quality, kind="stable")]
    return [int(order[index]) for index in evenly(len(order), count)]


def ranking_quality(scores: Array, targets: Array) -> Array:
    """Return for each picture, (N,), the mean over its categories of the precision at their rank.

    `scores` and `targets` are (N, C). The mean over pictures is known as label ranking average precision.
    """
    quality = np.empty(len(scores))
    step = max(AT_ONCE // scores.shape[1], 1)
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        order = np.argsort(-scores[part], axis=1, kind="stable")
        hits = np.take_along_axis(targets[part] > 0, order, axis=1)
        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        quality[part] = (precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)
    return quality


def _of(subset: Subset, table: Tensor) -> Array:
    rows: Array = table.numpy()[subset.rows]
    return rows


def _finite(value: float) -> float | None:
    """Return a number as JSON can hold it: None for NaN."""
    return None if np.isnan(value) else float(value)
