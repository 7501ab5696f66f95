"""Scoring O, L and R side by side."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation.claims import make_claims
from fieldmark.methods.irt.evaluation.figures import draw_figures
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.retrieval import Scored, counted, measured, score
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult

BOTH = "+dist"


def evaluate(
    models: Mapping[str, Sequence[Irt]], params: IrtParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and draw the figures."""
    scored = {name: score(name, by_seed, params.images, task) for name, by_seed in models.items()}
    draw_figures(first_of(scored), task, figures)
    [first, *_], recall = next(iter(scored.values())), f"recall@{task.split_params.ks[0]}"
    variants = [_result(models[name][0], result) for name, result in scored.items()]
    for name, result in _both_tokens(models, params, task).items():
        scored[name + BOTH] = result
        variants.append(_result(models[name][0], result, BOTH, ", class and distillation token"))
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


def _both_tokens(
    models: Mapping[str, Sequence[Irt]], params: IrtParams, task: Task
) -> dict[str, list[Scored]]:
    """Score models on distilled backbones a second time, by the mean of both tokens.

    The paper does not say which token it reads, so both are reported; training uses the class token.
    """
    scored = {}
    for name, by_seed in models.items():
        descriptors = [model.descriptor for model in by_seed]
        distilled = descriptors[0].backbone.spec.has_distilled and descriptors[0].pooling == "cls"
        if distilled and not descriptors[0].projection:
            for descriptor in descriptors:
                descriptor.pooling = "cls_distilled"
            scored[name] = score(name + BOTH, by_seed, params.images, task)
            for descriptor in descriptors:
                descriptor.pooling = "cls"
    return scored


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
