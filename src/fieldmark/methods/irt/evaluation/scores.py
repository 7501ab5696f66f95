"""Scoring O, L and R side by side."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation.claims import make_claims
from fieldmark.methods.irt.evaluation.figures import draw_figures
from fieldmark.methods.irt.evaluation.landmarks import evaluate_landmarks
from fieldmark.methods.irt.evaluation.tokens import BOTH, by_both_tokens
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.retrieval import Scored, counted, measured, score
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult


def evaluate(
    models: Mapping[str, Sequence[Irt]], params: IrtParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and draw the figures."""
    if task.split_params.kind == "landmarks":
        return evaluate_landmarks(models, params, task, figures)
    scored = {name: score(name, by_seed, params.images, task) for name, by_seed in models.items()}
    draw_figures(first_of(scored), task, figures)
    [first, *_], recall = next(iter(scored.values())), f"recall@{task.split_params.ks[0]}"
    variants = [_result(models[name][0], result) for name, result in scored.items()]
    both = by_both_tokens(models, lambda name, by_seed: score(name, by_seed, params.images, task))
    for name, result in both.items():
        scored[name] = result
        model = models[name.removesuffix(BOTH)][0]
        variants.append(_result(model, result, BOTH, ", class and distillation token"))
    return Evaluation(
        title=Irt.title,
        variants=tuple(variants),
        headline=(recall, "map@r", "r_precision", "components_90"),
        metrics=(recall, "map@r"),
        claims=tuple(make_claims(scored)),
        counts=counted(first, task),
        parameters={"descriptor": first.embeddings.shape[1], "weights": _weights(models)},
        notes=tuple(_notes(params, seed_count(scored))),
    )


def _result(model: Irt, scored: Sequence[Scored], suffix: str = "", addition: str = "") -> VariantResult:
    variant = model.variant
    measures = measured(scored, model.trained_weights)
    return VariantResult(name=variant.name + suffix, title=variant.title + addition, measures=measures)


def _weights(models: Mapping[str, Sequence[Irt]]) -> int:
    return sum(p.numel() for p in next(iter(models.values()))[0].parameters())


def _notes(params: IrtParams, seeds: int) -> list[str]:
    notes = [
        resampling("classes", seeds),
        "Energy: eigenvalues of the centred covariance of the unit-length test descriptors.",
    ]
    if params.lambda_ == 0 and {"L", "R"} <= set(params.variants):
        notes.append("lambda is 0: R is L.")
    return notes
