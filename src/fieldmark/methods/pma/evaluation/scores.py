"""Scoring backbone, vision, text, both, and the students side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.evaluation.classification import group_accuracies, log_loss, reliability
from fieldmark.methods.pma.evaluation.claims import FULL, make_claims, plain_of, teacher_of
from fieldmark.methods.pma.evaluation.figures import write_figures
from fieldmark.methods.pma.evaluation.predictions import OWN, WRONG, Predicted, predict
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.protocols.retrieval import INTERVALS

TITLES = {
    "plain": "backbone alone",
    "vision": "attention on the picture alone",
    "text": "phrases alone",
    "PMA": "picture and phrases",
    "twin": "the student's network and budget, labels alone",
}
BY_CLASS = (FULL, "student")  # variants whose every class is reported


def evaluate(models: Mapping[str, Pma], params: PmaParams, task: Task, figures: Path) -> dict[str, Any]:
    """Score every variant and student, write the figures, and return the content of the metrics file."""
    found = {name: predict(model, model.params.images, task, name) for name, model in models.items()}
    write_figures(found, models, task, figures)
    first = next(iter(found.values()))
    grouped = first.has_groups
    return {
        "title": Pma.title,
        "variants": {name: measured(one) for name, one in found.items()},
        "variant_order": list(found),
        "variant_titles": {name: variant_title(name, params, one.taught_by) for name, one in found.items()},
        "headline": ["top1", "top5", *(["group"] if grouped else []), "calibration_error"],
        "lower_is_better": ["calibration_error"],
        "claims": [claim.as_dict() for claim in make_claims(found)],
        "counts": {
            "test pictures": len(first.test),
            "training pictures": len(task.subset("train")),
            "classes": len(first.groups),
            **({"groups": len(set(first.groups))} if grouped else {}),
        },
        "parameters": {
            "phrase_encoder": params.phrase_encoder,
            "weights": {name: _weights(model) for name, model in models.items()},
        },
        "groups": {name: _accuracies(one, one.group_names) for name, one in found.items()} if grouped else {},
        "classes": {
            name: _accuracies(one, one.class_names) for name, one in found.items() if name in BY_CLASS
        },
        "notes": _notes(found),
    }


def variant_title(name: str, params: PmaParams, teacher: str | None) -> str:
    """Say what a variant or student is."""
    if name == "student":
        return f"picture alone, taught by {teacher}"
    if name.startswith("PMA-"):
        stages = name.removeprefix("PMA-")
        return f"picture and phrases, {stages} stage{'s' if stages != '1' else ''}"
    return TITLES[name] + (f", {params.stages} stages" if name in ("vision", "PMA") else "")


def measured(one: Predicted) -> dict[str, Any]:
    """Return a variant's row of the metrics file; `top1_<text>` is its top-1 accuracy with that text."""
    labels = one.test.labels
    shares = {"top1": one.right(), "top5": one.right(5)}
    if one.has_groups:
        shares["group"] = one.group_right
    shares |= {f"top1_{text}": one.right(1, text) for text in one.logits if text != OWN}
    return {
        **{name: interval(values, labels).as_dict() for name, values in shares.items()},
        "calibration_error": reliability(one.probabilities, labels).error,
        "log_loss": log_loss(one.probabilities, labels),
    }


def _accuracies(one: Predicted, names: Any) -> dict[str, Any]:
    return {
        part.name: {**part.accuracy.as_dict(), "pictures": part.count}
        for part in sorted(group_accuracies(one.right(), names, one.test.labels), key=lambda part: part.name)
    }


def _weights(model: Pma) -> int:
    return sum(weight.numel() for weight in model.parameters())


def _notes(found: Mapping[str, Predicted]) -> list[str]:
    top1 = {name: _top1(one) for name, one in found.items()}
    notes = [
        INTERVALS,
        "calibration_error is the expected calibration error over 15 bins of confidence.",
    ]
    if "text" in top1:
        notes.append(
            f"Text alone names the class of {_percent(top1['text'].value)} of the pictures. Captions may tell what "
            "no picture shows (in the default world song and habitat), so that text can identify a class by itself."
        )
    if any(WRONG in one.logits for one in found.values()):
        notes.append(
            "top1_missing: no phrases; top1_partial: half of a picture's phrases, drawn at random; top1_wrong: those "
            "of a picture of another class."
        )
    base, teacher = plain_of(found), teacher_of(found)
    if base and teacher:
        gained = top1[teacher].value - top1[base].value
        kept = top1["student"].value - top1[base].value
        notes.append(
            f"The teacher gains {_points(gained)} over {base}, the student keeps {_points(kept)} of them."
            if gained > 0
            else f"The teacher gains nothing over {base}: there is nothing for the student to keep."
        )
    return notes


def _top1(one: Predicted) -> Interval:
    return interval(one.right(), one.test.labels)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
