"""Scoring the variants side by side, on classes that training has not seen."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.methods.proxy.model.method import Proxy
from fieldmark.methods.proxy.model.params import ProxyParams
from fieldmark.protocols.retrieval import Scored, counted, measured, recall_difference, score
from fieldmark.protocols.retrieval_figures import recall_figure
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.results.claims import claim_difference
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Claim, Evaluation, VariantResult


def evaluate(
    models: Mapping[str, Sequence[Proxy]], params: ProxyParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant, draw the recalls and decide the claim."""
    scored = {name: score(name, by_seed, params.images, task) for name, by_seed in models.items()}
    first = first_of(scored)
    recall_figure(first, figures)
    recall = f"recall@{task.split_params.ks[0]}"
    return Evaluation(
        title=Proxy.title,
        variants=tuple(_result(models[name][0], scores) for name, scores in scored.items()),
        headline=(recall, "map@r", "r_precision"),
        metrics=(recall, "map@r"),
        claims=_claims(scored),
        counts=counted(next(iter(first.values())), task),
        notes=(resampling("classes", seed_count(scored)),),
    )


def _result(model: Proxy, scored: Sequence[Scored]) -> VariantResult:
    measures = measured(scored, model.trained_weights)
    return VariantResult(name=model.variant.name, title=model.variant.title, measures=measures)


def _claims(scored: Mapping[str, Sequence[Scored]]) -> tuple[Claim, ...]:
    if not {"frozen", "head"} <= set(scored):
        return ()
    return (
        claim_difference(
            "A head that knows the training classes beats the frozen backbone on other classes",
            "no number: the paper fine-tunes the whole network",
            f"{scored['head'][0].recalls[0]} of head minus frozen",
            recall_difference(scored, "head", "frozen"),
        ),
    )
