"""Scoring linear classifiers, CPRFL and CPRFL without its parts side by side."""

from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import normalize

from fieldmark.engine.params import TrainRecipe
from fieldmark.engine.task import Task
from fieldmark.methods.cprfl.evaluation.claims import make_claims
from fieldmark.methods.cprfl.evaluation.figures import draw_figures
from fieldmark.methods.cprfl.evaluation.refinement import Course, read_course, without_average
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.names import MAIN, Parts
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.methods.cprfl.model.variants import prompts_folder
from fieldmark.protocols.multilabel import (
    ZERO_SHOT,
    ZERO_SHOT_TITLE,
    Scored,
    Truth,
    by_category,
    counted,
    measured,
    read_truth,
    score,
    zero_shot,
)
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult
from fieldmark.texts.prompts import Prompts, read_prompts

HEADLINE = ("map", "head", "medium", "tail", "of1", "cf1")
METRICS = ("map", "tail")


def evaluate(
    models: Mapping[str, Sequence[Cprfl]], params: CprflParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and draw the figures."""
    shown = first_of(models)
    truth = read_truth(task, next(iter(shown.values())).class_names)
    prompts = read_prompts(prompts_folder(task.text, params, Parts()))
    untrained = zero_shot(prompts, truth, task, choose_thresholds)
    scored = {ZERO_SHOT: [untrained]} if untrained else {}
    features = SharedFeatures(task)
    scored |= {
        name: [score_model(name, model, truth, features) for model in by_seed]
        for name, by_seed in models.items()
    }
    course = _course(shown, first_of(scored), task)
    draw_figures(first_of(scored), shown, task, figures, course)
    titles = {ZERO_SHOT: ZERO_SHOT_TITLE} | {name: model.variant.title for name, model in shown.items()}
    results = tuple(
        VariantResult(name=name, title=titles[name], measures=measured(by_seed))
        for name, by_seed in scored.items()
    )
    return Evaluation(
        title=Cprfl.title,
        variants=results,
        headline=_measured(HEADLINE, results),
        metrics=_measured(METRICS, results),
        claims=tuple(make_claims(scored, params.prompts)),
        counts=counted(truth, task),
        parameters={"trained weights": {name: model.trained_weights for name, model in shown.items()}},
        details={"categories": by_category(scored, truth)},
        notes=(
            resampling("test pictures", seed_count(scored)),
            *_notes(params, truth, prompts, validated=len(task.subset("val")) > 0),
            *_budget(shown, params.train, len(task.subset("train"))),
            *(without_average(course) if course else ()),
        ),
    )


def score_model(name: str, model: Cprfl, truth: Truth, features: SharedFeatures) -> Scored:
    """Score the test pictures with one model. Raises UserError for scores that are not finite."""
    logits = features.run(model, model.batch_logits, truth.subset, model.params.images, name)
    return score(name, logits, model.thresholds, truth)


def _course(shown: Mapping[str, Cprfl], scored: Mapping[str, Scored], task: Task) -> Course | None:
    """Return how CPRFL came to be, where training kept copies of it."""
    main = shown.get(MAIN)
    return read_course(main, scored[MAIN], task) if main and main.earlier else None


def _measured(names: tuple[str, ...], results: tuple[VariantResult, ...]) -> tuple[str, ...]:
    """Return the measures that any variant has: a group without a category has none."""
    return tuple(name for name in names if any(name in result.measures for result in results))


def _notes(params: CprflParams, truth: Truth, prompts: Prompts, *, validated: bool) -> list[str]:
    notes = [
        f"All variants have the same steps, pictures and backbone; {'averaged ' if params.train.ema else ''}weights "
        "count as they are after the last step, no checkpoint is chosen. (The released code keeps the best one on the "
        "test pictures.)",
        "OF1 and CF1 are taken under thresholds chosen on the validation pictures, which are not trained on."
        if validated
        else "OF1 and CF1 are taken under a threshold of 0.5, for no validation pictures are kept back to choose one.",
        "Prompts are made of category vectors, which stay as they are; a CLIP's image tower serves zero-shot alone.",
        _alike(prompts),
    ]
    if params.prompts:
        notes.append(f"Prompts are those of {params.prompts[0]}, but where a variant names others.")
    if truth.untested:
        notes.append(f"Without a test picture, and so in no mean: {', '.join(truth.untested)}.")
    if not params.backbone_lr:
        notes.append("The backbone is frozen; the paper trains it.")
    return notes


def _alike(prompts: Prompts) -> str:
    """Say how well the category vectors tell the categories apart."""
    rows = normalize(prompts.embeddings.float(), dim=1)
    cosines = (rows @ rows.T).fill_diagonal_(-1.0)
    first, second = divmod(int(cosines.argmax()), len(rows))
    mean = float(cosines[~torch.eye(len(rows), dtype=torch.bool)].mean())
    return (
        f"The vectors of two categories have a cosine of {mean:.2f} on average; most alike are "
        f"{prompts.names[first]} and {prompts.names[second]} ({float(cosines.max()):.3f})."
    )


def _budget(shown: Mapping[str, Cprfl], train: TrainRecipe, pictures: int) -> list[str]:
    """Say how long prompts are trained beside a linear classifier of the same loss, where both are there."""
    if not {"ASL", "CPRFL"} <= set(shown):
        return []
    passes = train.passes or train.steps * train.batch_size / pictures
    return [
        f"CPRFL trains {shown['CPRFL'].trained_weights:,} weights in {passes:.3g} passes over the pictures, the linear "
        f"classifier {shown['ASL'].trained_weights:,} in as many; the paper makes 30 passes, and CONTRIBUTING.md says "
        "what more of them change."
    ]
