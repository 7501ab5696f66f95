"""Scoring the frozen backbone, fine-tuning, and FRPT with and without its parts side by side."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation.claims import arm_claims, convergence_claims, make_claims
from fieldmark.methods.frpt.evaluation.figures import draw_figures
from fieldmark.methods.frpt.evaluation.notes import make_notes
from fieldmark.methods.frpt.evaluation.progress import follow
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.protocols.retrieval import Scored, counted, measured, score
from fieldmark.protocols.seeds import first_of
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult

PAPER_COUNTS = "DPP 0.25 M, CAH 2.62 M, both 2.86 M, fine-tuning 23.53 M (Table 1, ResNet-50)"


def evaluate(
    models: Mapping[str, Sequence[Frpt]], params: FrptParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and draw the figures."""
    scored = {name: _score(name, by_seed, task) for name, by_seed in models.items()}
    progress = follow(models, scored, task)
    shown, scored_first = first_of(models), first_of(scored)
    draw_figures(scored_first, shown, progress, params, task, figures)
    first, recall = next(iter(scored_first.values())), f"recall@{task.split_params.ks[0]}"
    return Evaluation(
        title=Frpt.title,
        variants=tuple(_result(shown[name], result) for name, result in scored.items()),
        headline=(recall, "map@r", "r_precision", "trained_weights"),
        metrics=(recall, "map@r"),
        claims=(
            *make_claims(scored, params),
            *arm_claims(scored, models, params),
            *convergence_claims(progress, models, task),
        ),
        counts=counted(first, task),
        parameters={
            "descriptor": first.embeddings.shape[1],
            "trained": {name: model.trainable for name, model in shown.items() if model.trainable},
            "paper": PAPER_COUNTS,
        },
        notes=tuple(make_notes(shown, scored, params)),
    )


def _score(name: str, by_seed: Sequence[Frpt], task: Task) -> list[Scored]:
    """Score the models of a variant on the test pictures as it is given them."""
    return score(name, by_seed, by_seed[0].loaded, Frpt.shown_task(by_seed[0].variant, task))


def _result(model: Frpt, scored: Sequence[Scored]) -> VariantResult:
    variant = model.variant
    measures = measured(scored, model.trained_weights)
    return VariantResult(name=variant.name, title=variant.title, backbone=variant.start, measures=measures)
