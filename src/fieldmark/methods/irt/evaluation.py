"""Scoring O, L and R side by side, and what the paper claims of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldmark.engine.inference import run_over
from fieldmark.engine.method import Subset, Task
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference, resampled
from fieldmark.evaluation.geometry import components_for, principal_energy
from fieldmark.evaluation.retrieval import RetrievalResults, rank_queries
from fieldmark.methods.irt.figures import write_figures
from fieldmark.methods.irt.method import Irt
from fieldmark.methods.irt.params import IrtParams
from fieldmark.reporting.claims import Claim, difference_claim

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
