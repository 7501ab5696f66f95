"""Scoring O, L and R side by side, and what the paper claims of them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fieldmark.engine.method import Subset
from fieldmark.evaluation.retrieval import RetrievalResults

NEIGHBOURS = 10
ENERGY_SHARE = 0.9


@dataclass(frozen=True)
class Scored:
    """One variant's descriptors of the test pictures and what they retrieve."""

    queries: Subset
    gallery: Subset | None
    embeddings: Tensor  # (N, D) of the queries
    results: RetrievalResults
    energy: np.ndarray  # (D,) cumulative share of variance

    @property
    def clusters(self) -> np.ndarray:
        """The class of each counted query, for resampling."""
        return self.queries.labels[self.results.valid]

    def counted(self, measure: str, ks: tuple[int, ...]) -> np.ndarray:
        """Values of a measure over the queries that have a positive."""
        values: np.ndarray = self.results.values(ks)[measure][self.results.valid]
        return values
