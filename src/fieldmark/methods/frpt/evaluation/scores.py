"""Scoring the frozen backbone, fine-tuning, and FRPT with and without its parts side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import paired_difference
from fieldmark.methods.frpt.evaluation.claims import make_claims
from fieldmark.methods.frpt.evaluation.figures import write_figures
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.protocols.retrieval import INTERVALS, Scored, counted, measured, score

TITLES = {
    "plain": "backbone as it comes, with its own stride, not trained",
    "frozen": "frozen backbone, not trained",
    "sampled": "frozen backbone, finer pictures sampled evenly, not trained",
    "finetune": "full fine-tuning, cross-entropy",
    "DPP": "prompt alone",
    "CAH": "head alone",
    "attention": "prompt, and head without instance normalisation",
    "FRPT": "prompt and head",
    "release": "prompt, and the released code's head",
}
CONTROLS = {
    "plain": "the backbone as it comes, untrained",
    "sampled": "sampling the same finer pictures evenly, untrained",
}
PAPER_COUNTS = "DPP 0.25 M, CAH 2.62 M, both 2.86 M, fine-tuning 23.53 M (Table 1, ResNet-50)"


def evaluate(models: Mapping[str, Frpt], params: FrptParams, task: Task, figures: Path) -> dict[str, Any]:
    """Score every variant, write the figures, and return the content of the metrics file."""
    scored = {name: score(name, model, model.params.loaded, task) for name, model in models.items()}
    write_figures(scored, models, params, task, figures)
    first = next(iter(scored.values()))
    trained = {name: model.trainable for name, model in models.items()}
    return {
        "title": Frpt.title,
        "variants": {
            name: {**measured(one), "trained_weights": sum(trained[name].values())}
            for name, one in scored.items()
        },
        "variant_order": list(scored),
        "variant_titles": {name: _title(models[name].params) for name in scored},
        "headline": [first.recalls[0], "map@r", "r_precision", "trained_weights"],
        "claims": [
            claim.as_dict() for claim in make_claims(scored, params.shots, finer=params.source is not None)
        ],
        "counts": counted(first, task),
        "parameters": {
            "descriptor": first.embeddings.shape[1],
            "trained": {name: counts for name, counts in trained.items() if counts},
            "paper": PAPER_COUNTS,
        },
        "notes": [*_notes(models, params), *_differences(scored)],
    }


def _title(params: FrptParams) -> str:
    few = f", {params.shots[0]} training pictures per class" if params.shots else ""
    return TITLES[params.variants[-1]] + few


def _notes(models: Mapping[str, Frpt], params: FrptParams) -> list[str]:
    notes = [
        INTERVALS,
        "Trained weights are those kept for retrieval: the classifier is not counted, nor does the paper count "
        "it. Its 2.62 M of the head do not follow from its equation 8, which has 1.05 M (2 x 2048 x 256).",
        f"The distance kernel, of which the paper gives no width, spans {params.fwhm:g} of {params.grid} cells "
        f"(full width at half maximum), padding {params.padding}: the released code's by default.",
    ]
    if params.pooling == "average" and {"FRPT", "attention"} <= set(models):
        notes.append(
            "Under average pooling attention and FRPT are one model: an instance-normalised channel has mean 0, "
            "so equation 7 leaves weight times mean. What differs between the two is rounding."
        )
    width = max(model.map_width for model in models.values())
    if 2 * params.kernel_size < width:
        notes.append(
            f"kernel_size {params.kernel_size} is less than half of the map's {width} places; "
            "the paper's rule asks for half or more."
        )
    return notes


def _differences(scored: Mapping[str, Scored]) -> list[str]:
    """Say what the claims, which are the paper's and of recall, do not: no paper compares it, so it is no claim."""
    recall = next(iter(scored.values())).recalls[0]
    found = []
    if {"FRPT", "frozen"} <= set(scored):
        gain = _points(scored, "FRPT", "frozen", "map@r")
        found.append(f"By map@r, which looks at every neighbour up to R, FRPT minus frozen is {gain}.")
    for control, what in CONTROLS.items():
        gains = [
            f"{name} {_points(scored, name, control, recall)}, by map@r {_points(scored, name, control, 'map@r')}"
            for name in ("sampled", "DPP", "FRPT")
            if {name, control} <= set(scored) and name != control
        ]
        if gains:
            found.append(f"Against {what}, by {recall}: {'; '.join(gains)}.")
    return found


def _points(scored: Mapping[str, Scored], first: str, second: str, measure: str) -> str:
    one, other = scored[first], scored[second]
    gain = paired_difference(one.per_query(measure), other.per_query(measure), one.clusters)
    return f"{100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
