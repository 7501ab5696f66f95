"""Scoring the variants of a retrieval method side by side: what every such method's evaluation shares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference
from fieldmark.evaluation.geometry import (
    SimilarityHistograms,
    components_for,
    principal_energy,
    similarity_histograms,
)
from fieldmark.evaluation.retrieval import RetrievalResults, rank_queries
from fieldmark.protocols.seeds import mean_over
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.distributed import ProcessShare
from fieldmark.runtime.params import RuntimeParams

NEIGHBOURS = 10
ENERGY_FRACTION = 0.9


@dataclass(frozen=True)
class Scored:
    """What one model makes of the test pictures."""

    queries: Subset
    gallery: Subset | None  # None: each query is searched among the others
    embeddings: Tensor  # (N, D) of the queries
    gallery_embeddings: Tensor | None  # (G, D)
    results: RetrievalResults
    ks: tuple[int, ...]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The class of each query that has a positive, for resampling."""
        return self.queries.labels[self.results.valid]

    def per_query(self, measure: str) -> NDArray[np.float64]:
        """Values of a measure over the queries that have a positive."""
        values: NDArray[np.float64] = self.results.values(self.ks)[measure][self.results.valid]
        return values

    @cached_property
    def measures(self) -> dict[str, Interval]:
        """Every retrieval measure with its interval."""
        return {name: interval(self.per_query(name), self.clusters) for name in self.results.values(self.ks)}

    @property
    def recalls(self) -> list[str]:
        """Names of the recalls, as `measures` has them."""
        return [f"recall@{k}" for k in self.ks]

    @cached_property
    def energy(self) -> NDArray[np.float64]:
        """Cumulative fraction of the variance of the queries' descriptors, (D,)."""
        energy: NDArray[np.float64] = principal_energy(self.embeddings)
        return energy

    @property
    def components(self) -> int:
        """How many principal components hold 90 % of that variance."""
        return components_for(self.energy, ENERGY_FRACTION)

    @property
    def histograms(self) -> SimilarityHistograms:
        """Similarities of positive and of negative pairs."""
        gallery = self.gallery.labels if self.gallery else None
        return similarity_histograms(self.embeddings, self.queries.labels, self.gallery_embeddings, gallery)


def score(name: str, models: Sequence[Any], images: ImageParams, task: Task) -> list[Scored]:
    """Describe the test pictures with the models of a variant, one per seed, and rank them.

    Raises UserError for NaN descriptors.
    """
    return [score_model(name, model, images, task) for model in models]


def score_model(name: str, model: Any, images: ImageParams, task: Task) -> Scored:
    """Describe the test pictures with one model and rank them. Raises UserError for NaN descriptors."""
    queries, gallery = task.subset("test", "query"), task.subset("gallery")
    embeddings = task.run(model, model.embed, queries, images, f"{name} queries")
    others = task.run(model, model.embed, gallery, images, f"{name} gallery") if len(gallery) else None
    try:
        results = rank_together(
            embeddings,
            queries.labels,
            others,
            gallery.labels if len(gallery) else None,
            NEIGHBOURS,
            task.runtime,
        )
    except ValueError as error:
        raise UserError(f"variant {name} cannot be scored: {error}") from None
    ks = task.split_params.ks
    return Scored(queries, gallery if len(gallery) else None, embeddings, others, results, ks)


def rank_together(
    queries: Tensor,
    labels: Array,
    gallery: Tensor | None,
    gallery_labels: Array | None,
    neighbours: int,
    runtime: RuntimeParams,
) -> RetrievalResults:
    """Rank a gallery as `rank_queries` does, on the GPU where there is one, each process its share."""
    device = torch.device(pick_device(runtime))
    if device.type == "cuda":
        queries, gallery = queries.to(device), gallery.to(device) if gallery is not None else None
    return rank_queries(queries, labels, gallery, gallery_labels, neighbours, share=ProcessShare())


def measured(by_seed: Sequence[Scored], trained_weights: int) -> dict[str, Any]:
    """Return a variant's measures: those of retrieval with their intervals, components, and trained weights."""
    first = by_seed[0]
    names = first.results.values(first.ks)
    return {
        **{name: interval(_values(by_seed, name), first.clusters) for name in names},
        "components_90": mean_over([scored.components for scored in by_seed]),
        "trained_weights": trained_weights,
    }


def counted(scored: Scored, task: Task) -> dict[str, int]:
    """Return the counts that the report shows; they are those of any variant."""
    valid = scored.results.valid
    return {
        "queries": int(valid.sum()),
        "skipped": int((~valid).sum()),
        "classes": len(np.unique(scored.queries.labels)),
        "training pictures": len(task.subset("train")),
    }


def recall_difference(scored: Mapping[str, Sequence[Scored]], first: str, second: str) -> Interval:
    """Return recall at the first k of variant `first` minus that of `second`, on the same queries and seeds."""
    return difference(scored, first, second, scored[first][0].recalls[0])


def difference(scored: Mapping[str, Sequence[Scored]], first: str, second: str, measure: str) -> Interval:
    """Return a measure of variant `first` minus that of `second`, on the same queries and seeds."""
    better, than = (_values(scored[name], measure) for name in (first, second))
    return paired_difference(better, than, scored[first][0].clusters)


def _values(by_seed: Sequence[Scored], measure: str) -> NDArray[np.float64]:
    """Return a measure of every query that has a positive, (S, N)."""
    return np.stack([scored.per_query(measure) for scored in by_seed])


def picture_reader(task: Task, subset: Subset) -> Callable[[int], NDArray[Any]]:
    """Return a function from an index within `subset` to its stored picture (H, W, 3)."""
    rows = subset.rows

    def picture(index: int) -> NDArray[Any]:
        return task.store[int(rows[index])]

    return picture
