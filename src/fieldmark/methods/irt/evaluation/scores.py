"""Scoring O, L, R and the arms beside them."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation.claims import make_claims
from fieldmark.methods.irt.evaluation.compared import compare
from fieldmark.methods.irt.evaluation.figures import draw_figures
from fieldmark.methods.irt.evaluation.landmarks import evaluate_landmarks
from fieldmark.methods.irt.evaluation.settings import settings_of, spectra
from fieldmark.methods.irt.evaluation.sweeps import draw_sweeps, sweep_notes
from fieldmark.methods.irt.evaluation.tokens import BOTH, by_both_tokens
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.retrieval import Scored, counted, measured, score
from fieldmark.protocols.seeds import first_of, mean_over, resampling, seed_count
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult


def evaluate(
    models: Mapping[str, Sequence[Irt]], params: IrtParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and draw the figures."""
    if task.split_params.kind == "landmarks":
        return evaluate_landmarks(models, params, task, figures)
    scored = {name: score(name, by_seed, by_seed[0].loaded, task) for name, by_seed in models.items()}
    settings = settings_of(models)
    ordinary = [variant.name for variant in Irt.variants(params)]
    draw_figures(first_of(scored), task, figures, ordinary, spectra(settings))
    [first, *_], recall = next(iter(scored.values())), f"recall@{task.split_params.ks[0]}"
    lengths = len({by_seed[0].embeddings.shape[1] for by_seed in scored.values()}) > 1
    variants = [_result(models[name], result, lengths=lengths) for name, result in scored.items()]
    by_name = {variant.name: variant.measures for variant in variants}
    draw_sweeps(settings, by_name, recall, figures)
    claims = [*make_claims(scored), *compare(scored, settings)]
    both = by_both_tokens(models, lambda name, by_seed: score(name, by_seed, by_seed[0].loaded, task))
    for name, result in both.items():
        scored[name] = result
        by_seed = models[name.removesuffix(BOTH)]
        variants.append(_result(by_seed, result, BOTH, ", class and distillation token", lengths=lengths))
    return Evaluation(
        title=Irt.title,
        variants=tuple(variants),
        headline=(recall, "map@r", "r_precision", "components_90", *(["dimensions"] if lengths else [])),
        metrics=(recall, "map@r"),
        claims=tuple(claims),
        counts=counted(first, task),
        parameters={"descriptor": first.embeddings.shape[1], "weights": _weights(models)},
        notes=(*_notes(params, seed_count(scored)), *sweep_notes(settings, by_name, recall)),
    )


def _result(
    by_seed: Sequence[Irt], scored: Sequence[Scored], suffix: str = "", addition: str = "", *, lengths: bool
) -> VariantResult:
    """Return what was measured of a row; `lengths` says whether the rows differ in theirs."""
    variant = by_seed[0].variant
    measures = measured(scored, by_seed[0].trained_weights)
    if lengths:
        measures["dimensions"] = scored[0].embeddings.shape[1]
    spreads = [model.gradient_spread for model in by_seed if model.gradient_spread is not None]
    if spreads:
        measures["gradient_spread"] = mean_over(spreads)
    title, name = variant.title + addition, variant.name + suffix
    return VariantResult(name=name, title=title, backbone=variant.start, measures=measures)


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
