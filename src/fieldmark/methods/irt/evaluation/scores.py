"""Scoring O, L and R side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.engine.inference import run_over
from fieldmark.engine.method import Subset, Task
from fieldmark.errors import UserError
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.evaluation.geometry import components_for, principal_energy
from fieldmark.evaluation.retrieval import RetrievalResults, rank_queries
from fieldmark.methods.irt.evaluation.claims import make_claims
from fieldmark.methods.irt.evaluation.figures import write_figures
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams

NEIGHBOURS = 10
ENERGY_SHARE = 0.9
BOTH = "+dist"


@dataclass(frozen=True)
class Scored:
    """What one variant makes of the test pictures."""

    queries: Subset
    gallery: Subset | None  # None: each query is searched among the others
    embeddings: Tensor  # (N, D) of the queries
    gallery_embeddings: Tensor | None  # (G, D)
    results: RetrievalResults
    energy: NDArray[np.float64]  # (D,) cumulative share of variance
    ks: tuple[int, ...]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The class of each query that has a positive, for resampling."""
        return self.queries.labels[self.results.valid]

    def per_query(self, measure: str) -> NDArray[np.float64]:
        """Values of a measure over the queries that have a positive."""
        values: NDArray[np.float64] = self.results.values(self.ks)[measure][self.results.valid]
        return values

    @property
    def measures(self) -> dict[str, Interval]:
        """Every retrieval measure with its interval."""
        return {name: interval(self.per_query(name), self.clusters) for name in self.results.values(self.ks)}

    @property
    def components(self) -> int:
        """How many principal components hold 90 % of the variance of the test descriptors."""
        return components_for(self.energy, ENERGY_SHARE)


def evaluate(models: Mapping[str, Irt], params: IrtParams, task: Task, figures: Path) -> dict[str, Any]:
    """Score every variant, write the figures, and return the content of the metrics file."""
    scored = {name: score(name, model, params, task) for name, model in models.items()}
    write_figures(scored, task, figures)
    first = next(iter(scored.values()))
    scored |= _both_tokens(models, params, task)
    return {
        "title": Irt.title,
        "variants": {
            name: {**{m: i.as_dict() for m, i in one.measures.items()}, "components_90": one.components}
            for name, one in scored.items()
        },
        "variant_order": list(scored),
        "variant_titles": {name: variant_title(name, params) for name in scored},
        "headline": [f"recall@{task.ks[0]}", "map@r", "r_precision", "components_90"],
        "claims": [claim.as_dict() for claim in make_claims(scored)],
        "counts": {
            "queries": int(first.results.valid.sum()),
            "skipped": int((~first.results.valid).sum()),
            "classes": len(np.unique(first.queries.labels)),
            "training pictures": len(task.subset("train")),
        },
        "parameters": {"descriptor": first.embeddings.shape[1], "weights": _weights(models)},
        "notes": _notes(params),
    }


def score(name: str, model: Irt, params: IrtParams, task: Task) -> Scored:
    """Describe the test pictures with one variant and rank them. Raises UserError for NaN descriptors."""
    queries, gallery = task.subset("test", "query"), task.subset("gallery")
    embeddings = run_over(model, model.embed, task, queries, params.images, f"{name} queries")
    others = (
        run_over(model, model.embed, task, gallery, params.images, f"{name} gallery")
        if len(gallery)
        else None
    )
    try:
        results = rank_queries(
            embeddings, queries.labels, others, gallery.labels if len(gallery) else None, NEIGHBOURS
        )
    except ValueError as error:
        raise UserError(f"variant {name} cannot be scored: {error}") from None
    energy = principal_energy(embeddings)
    return Scored(queries, gallery if len(gallery) else None, embeddings, others, results, energy, task.ks)


def variant_title(name: str, params: IrtParams) -> str:
    """Say what a variant is."""
    titles = {"O": "frozen backbone", "L": "contrastive", "R": f"contrastive + {params.lambda_:g} KoLeo"}
    return titles[name.removesuffix(BOTH)] + (", class and distillation token" if name.endswith(BOTH) else "")


def _both_tokens(models: Mapping[str, Irt], params: IrtParams, task: Task) -> dict[str, Scored]:
    """Score models on distilled backbones a second time, by the mean of both tokens.

    The paper does not say which token it reads, so both are reported; training uses the class token.
    """
    found = {}
    for name, model in models.items():
        descriptor = model.descriptor
        if (
            descriptor.backbone.spec.has_distilled
            and descriptor.pooling == "cls"
            and not descriptor.projection
        ):
            descriptor.pooling = "cls_distilled"
            found[name + BOTH] = score(name + BOTH, model, params, task)
            descriptor.pooling = "cls"
    return found


def _weights(models: Mapping[str, Irt]) -> int:
    return sum(p.numel() for p in next(iter(models.values())).parameters())


def _notes(params: IrtParams) -> list[str]:
    notes = [
        "Intervals resample classes and tell nothing of other training seeds.",
        "Energy: eigenvalues of the centred covariance of the unit-length test descriptors.",
    ]
    if params.lambda_ == 0 and {"L", "R"} <= set(params.variants):
        notes.append("lambda is 0: R is L.")
    return notes
