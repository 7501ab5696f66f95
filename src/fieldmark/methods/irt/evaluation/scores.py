"""Scoring O, L and R side by side."""

from collections.abc import Mapping

from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation.claims import make_claims
from fieldmark.methods.irt.evaluation.figures import draw_figures
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.retrieval import INTERVALS, Scored, counted, measured, score
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult

BOTH = "+dist"


def evaluate(models: Mapping[str, Irt], params: IrtParams, task: Task, figures: FigureFolder) -> Evaluation:
    """Score every variant and draw the figures."""
    scored = {name: score(name, model, params.images, task) for name, model in models.items()}
    draw_figures(scored, task, figures)
    first, recall = next(iter(scored.values())), f"recall@{task.split_params.ks[0]}"
    variants = [_result(models[name], result) for name, result in scored.items()]
    for name, result in _both_tokens(models, params, task).items():
        scored[name + BOTH] = result
        variants.append(_result(models[name], result, BOTH, ", class and distillation token"))
    return Evaluation(
        title=Irt.title,
        variants=tuple(variants),
        headline=(recall, "map@r", "r_precision", "components_90"),
        metrics=(recall, "map@r"),
        claims=tuple(make_claims(scored)),
        counts=counted(first, task),
        parameters={"descriptor": first.embeddings.shape[1], "weights": _weights(models)},
        notes=tuple(_notes(params)),
    )


def _result(model: Irt, scored: Scored, suffix: str = "", addition: str = "") -> VariantResult:
    variant = model.variant
    measures = measured(scored, model.trained_weights)
    return VariantResult(name=variant.name + suffix, title=variant.title + addition, measures=measures)


def _both_tokens(models: Mapping[str, Irt], params: IrtParams, task: Task) -> dict[str, Scored]:
    """Score models on distilled backbones a second time, by the mean of both tokens.

    The paper does not say which token it reads, so both are reported; training uses the class token.
    """
    scored = {}
    for name, model in models.items():
        descriptor = model.descriptor
        distilled = descriptor.backbone.spec.has_distilled and descriptor.pooling == "cls"
        if distilled and not descriptor.projection:
            descriptor.pooling = "cls_distilled"
            scored[name] = score(name + BOTH, model, params.images, task)
            descriptor.pooling = "cls"
    return scored


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
