"""Scoring descriptors on ROxford5k and RParis6k by the revisited protocol (Radenovic et al., CVPR 2018)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.packed.manifest import KINDS, listed
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import unit_rows
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference
from fieldmark.evaluation.landmarks import (
    PROTOCOLS,
    Protocol,
    revisited_average_precision,
    revisited_precision,
)
from fieldmark.evaluation.relevance import Relevance

LEVELS: tuple[Protocol, ...] = ("easy", "medium", "hard")
K = 10  # of mP@k
HEADLINE = ("map_medium", "map_hard", f"mp@{K}_medium", f"mp@{K}_hard")


@dataclass(frozen=True)
class Ranked:
    """What one model makes of a benchmark: `similarity` (database, queries) and what is relevant."""

    queries: Subset
    gallery: Subset
    similarity: NDArray[np.float64]
    relevance: Relevance

    @cached_property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """The values of every measure over all queries, (Q,); NaN for a query without positives."""
        lists = self.relevance.easy, self.relevance.hard, self.relevance.junk
        precision = {
            f"map_{level}": revisited_average_precision(self.similarity, *lists, level) for level in LEVELS
        }
        among = {
            f"mp@{K}_{level}": revisited_precision(self.similarity, *lists, level, K) for level in LEVELS
        }
        return {name: values for name, values in (precision | among).items() if np.isfinite(values).any()}

    def kinds(self, level: Protocol, query: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which of the database are positives of a query, and which are ignored, (database,) each."""
        masks = np.zeros((2, len(self.gallery)), dtype=bool)
        for mask, names in zip(masks, PROTOCOLS[level], strict=True):
            for name in names:
                mask[list(getattr(self.relevance, name)[query])] = True
        return masks[0], masks[1]


def rank(name: str, models: Sequence[Any], images: ImageParams, task: Task) -> list[Ranked]:
    """Describe queries, cut to their boxes, and database with the models of a variant, one per seed.

    Raises UserError for NaN descriptors.
    """
    queries, gallery = task.subset("query"), task.subset("gallery")
    ids = queries.frame["id"].tolist(), gallery.frame["id"].tolist()
    wanted = Relevance.of({kind: listed(task.manifest, kind) for kind in KINDS}, *ids)
    ranked = []
    for model in models:
        sides = [
            task.run(model, model.embed, side, images, f"{name} {what}")
            for side, what in ((queries, "queries"), (gallery, "database"))
        ]
        ranked.append(Ranked(queries, gallery, _similarity(name, *sides), wanted))
    return ranked


def measured(by_seed: Sequence[Ranked], trained_weights: int) -> dict[str, Any]:
    """Return a variant's measures with their intervals over queries, and how many weights were trained."""
    measures = {name: _interval(by_seed, name) for name in by_seed[0].values}
    return {**measures, "trained_weights": trained_weights}


def difference(ranked: Mapping[str, Sequence[Ranked]], first: str, second: str, measure: str) -> Interval:
    """Return a measure of variant `first` minus that of `second`, on the same queries and seeds."""
    better, than = (_valid(ranked[name], measure) for name in (first, second))
    return paired_difference(better, than, np.arange(better.shape[1]))


def counted(ranked: Ranked) -> dict[str, int]:
    """Return the counts that the report shows; they are those of any variant."""
    return {
        "queries": len(ranked.queries),
        "database": len(ranked.gallery),
        **{
            f"queries {level}": int(np.isfinite(ranked.values[f"map_{level}"]).sum())
            for level in LEVELS
            if f"map_{level}" in ranked.values
        },
    }


def _interval(by_seed: Sequence[Ranked], measure: str) -> Interval:
    values = _valid(by_seed, measure)
    return interval(values, np.arange(values.shape[1]))


def _valid(by_seed: Sequence[Ranked], measure: str) -> NDArray[np.float64]:
    """Return a measure of every query that has positives, (S, N); which have some depends on no model."""
    values = np.stack([ranked.values[measure] for ranked in by_seed])
    return values[:, np.isfinite(values[0])]


def _similarity(name: str, queries: Tensor, gallery: Tensor) -> NDArray[np.float64]:
    try:
        rows, others = unit_rows(queries, "queries"), unit_rows(gallery, "database")
    except ValueError as error:
        raise UserError(f"variant {name} cannot be scored: {error}") from None
    similarity: NDArray[np.float64] = (others @ rows.T).double().cpu().numpy()
    return similarity
