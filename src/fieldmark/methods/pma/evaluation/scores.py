"""Scoring backbone, vision, text, both, and the students side by side."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.methods.pma.evaluation.claims import FULL, make_claims, plain_of, teacher_of, unmasked
from fieldmark.methods.pma.evaluation.figures import draw_figures
from fieldmark.methods.pma.evaluation.predictions import (
    OWN,
    WRONG,
    Predicted,
    Runs,
    new_parts,
    predict,
    reading,
)
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.protocols.classification import (
    CALIBRATION,
    LOWER_IS_BETTER,
    accuracy,
    counted,
    detailed,
    measured,
)
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, Measure, VariantResult

BY_CLASS = (FULL, "student")  # variants whose every class is reported


def evaluate(
    models: Mapping[str, Sequence[Pma]], params: PmaParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and student, and draw the figures."""
    features = SharedFeatures(task)
    predicted = {
        name: [predict(model, model.params.images, features, name) for model in by_seed]
        for name, by_seed in models.items()
    }
    draw_figures(predicted, first_of(models), task, figures)
    first = next(iter(predicted.values()))[0].with_own_text
    return Evaluation(
        title=Pma.title,
        variants=tuple(
            VariantResult(
                name=name,
                title=by_seed[0].variant.title,
                measures=measures_of(by_seed) | _new_parts(by_seed, predicted),
            )
            for name, by_seed in predicted.items()
        ),
        headline=first.headline,
        metrics=("top1",),
        lower_is_better=LOWER_IS_BETTER,
        claims=tuple(make_claims(predicted)),
        counts=counted(first, task),
        parameters={
            "phrase_encoder": params.phrase_encoder,
            "weights": {name: _weights(model) for name, model in first_of(models).items()},
        },
        details=_details(predicted),
        notes=tuple(_notes(predicted)),
    )


def measures_of(by_seed: Sequence[Predicted]) -> dict[str, Interval | Measure | float]:
    """Return a variant's measures; `top1_<text>` is its top-1 accuracy with that text."""
    texts = [text for text in by_seed[0].by_text if text != OWN]
    others = {f"top1_{text}": accuracy(reading(by_seed, text)) for text in texts}
    return {**measured(reading(by_seed)), **others}


def _new_parts(by_seed: Sequence[Predicted], predicted: Runs) -> dict[str, Interval | Measure | float]:
    """Return the share of new parts of a variant with stages, where some variant may look at a part again.

    Under the visual mask it is 1 by construction.
    """
    if not unmasked(predicted) or not by_seed[0].variant.parts.stages:
        return {}
    labels = by_seed[0].with_own_text.test.labels
    return {"new_parts": interval([new_parts(one.parts) for one in by_seed], labels)}


def _details(predicted: Runs) -> dict[str, dict[str, object]]:
    """Top-1 accuracy per group of each variant, and per class of two."""
    classified = {name: reading(by_seed) for name, by_seed in predicted.items()}
    return {
        "groups": {
            name: detailed(models, models[0].picture_groups)
            for name, models in classified.items()
            if models[0].has_groups
        },
        "classes": {
            name: detailed(classified[name], classified[name][0].picture_classes)
            for name in BY_CLASS
            if name in classified
        },
    }


def _weights(model: Pma) -> int:
    return sum(weight.numel() for weight in model.parameters())


def _notes(predicted: Runs) -> list[str]:
    top1 = {name: accuracy(reading(by_seed)) for name, by_seed in predicted.items()}
    notes = [resampling("classes", seed_count(predicted)), CALIBRATION]
    if "text" in top1:
        notes.append(
            f"Text alone names the class of {_percent(top1['text'].value)} of the pictures. Captions may tell what "
            "no picture shows (in the default world song and habitat), so that text can identify a class by itself."
        )
    if any(WRONG in by_seed[0].by_text for by_seed in predicted.values()):
        notes.append(
            "top1_missing: no phrases; top1_partial: half of a picture's phrases, drawn at random; top1_wrong: those "
            "of a picture of another class."
        )
    if unmasked(predicted):
        notes.append(
            "new_parts: the share of the stages that look at a block that no stage before them looked at; under the "
            "visual mask all of them do, by construction."
        )
    base, teacher = plain_of(predicted), teacher_of(predicted)
    if base and teacher:
        gained = top1[teacher].value - top1[base].value
        kept = top1["student"].value - top1[base].value
        notes.append(
            f"The teacher gains {_points(gained)} over {base}, the student keeps {_points(kept)} of them."
            if gained > 0
            else f"The teacher gains nothing over {base}: there is nothing for the student to keep."
        )
    return notes


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"
