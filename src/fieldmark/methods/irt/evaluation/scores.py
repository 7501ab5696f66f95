"""Scoring O, L and R side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.contract.method import Task
from fieldmark.methods.irt.evaluation.claims import make_claims
from fieldmark.methods.irt.evaluation.figures import write_figures
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.retrieval import INTERVALS, Scored, counted, measured, score

BOTH = "+dist"


def evaluate(models: Mapping[str, Irt], params: IrtParams, task: Task, figures: Path) -> dict[str, Any]:
    """Score every variant, write the figures, and return the content of the metrics file."""
    scored = {name: score(name, model, params.images, task) for name, model in models.items()}
    write_figures(scored, task, figures)
    first = next(iter(scored.values()))
    scored |= _both_tokens(models, params, task)
    return {
        "title": Irt.title,
        "variants": {
            name: {**measured(one), "trained_weights": trained_weights(name, models)}
            for name, one in scored.items()
        },
        "variant_order": list(scored),
        "variant_titles": {name: variant_title(name, params) for name in scored},
        "headline": [f"recall@{task.ks[0]}", "map@r", "r_precision", "components_90"],
        "claims": [claim.as_dict() for claim in make_claims(scored)],
        "counts": counted(first, task),
        "parameters": {"descriptor": first.embeddings.shape[1], "weights": _weights(models)},
        "notes": _notes(params),
    }


def variant_title(name: str, params: IrtParams) -> str:
    """Say what a variant is."""
    titles = {"O": "frozen backbone", "L": "contrastive", "R": f"contrastive + {params.lambda_:g} KoLeo"}
    return titles[name.removesuffix(BOTH)] + (", class and distillation token" if name.endswith(BOTH) else "")


def trained_weights(name: str, models: Mapping[str, Irt]) -> int:
    """Return how many weights the training of a variant moved."""
    model = models[name.removesuffix(BOTH)]
    trained = model.params.train.steps > 0
    return sum(p.numel() for p in model.parameters()) if trained else 0


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
            found[name + BOTH] = score(name + BOTH, model, params.images, task)
            descriptor.pooling = "cls"
    return found


def _weights(models: Mapping[str, Irt]) -> int:
    return sum(p.numel() for p in next(iter(models.values())).parameters())


def _notes(params: IrtParams) -> list[str]:
    notes = [
        INTERVALS,
        "Energy: eigenvalues of the centred covariance of the unit-length test descriptors.",
    ]
    if params.lambda_ == 0 and {"L", "R"} <= set(params.variants):
        notes.append("lambda is 0: R is L.")
    return notes
