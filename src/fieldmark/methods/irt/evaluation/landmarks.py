"""IRT on specific objects: ROxford5k and RParis6k."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation.figures import MOST
from fieldmark.methods.irt.evaluation.tokens import BOTH, by_both_tokens
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.landmark_figures import draw_landmarks
from fieldmark.protocols.landmarks import HEADLINE, Ranked, counted, difference, measured, rank
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.results.claims import claim_difference
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Claim, Evaluation, VariantResult

# Table 3, mAP medium and hard of DeiT-S: what the paper reports for each pair of variants.
CLAIMS = (
    (
        ("R", "O"),
        "Fine-tuning on landmarks beats the frozen backbone",
        {
            "map_medium": "mAP medium, DeiT-S, O to R: ROxford 20.3 to 34.0, RParis 50.2 to 66.1 (Table 3)",
            "map_hard": "mAP hard, DeiT-S, O to R: ROxford 5.6 to 11.5, RParis 26.3 to 40.2 (Table 3)",
        },
    ),
    (
        ("R", "L"),
        "KoLeo improves the search for landmarks",
        {
            "map_medium": "mAP medium, DeiT-S, L to R: ROxford 32.7 to 34.0, RParis 63.6 to 66.1 (Table 3)",
            "map_hard": "mAP hard, DeiT-S, L to R: ROxford 11.4 to 11.5, RParis 37.8 to 40.2 (Table 3)",
        },
    ),
)


def evaluate_landmarks(
    models: Mapping[str, Sequence[Irt]], params: IrtParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Score every variant and arm by the revisited protocol; draw all, or of many the ordinary variants."""
    ranked = {name: rank(name, by_seed, by_seed[0].loaded, task) for name, by_seed in models.items()}
    ordinary = [variant.name for variant in Irt.variants(params)]
    usual = {name: ranked[name] for name in ordinary if name in ranked}
    draw_landmarks(first_of(ranked if len(ranked) <= MOST else usual), task, figures)
    variants = [_result(models[name][0], by_seed) for name, by_seed in ranked.items()]
    both = by_both_tokens(models, lambda name, by_seed: rank(name, by_seed, by_seed[0].loaded, task))
    variants += [
        _result(models[name.removesuffix(BOTH)][0], by_seed, BOTH, ", class and distillation token")
        for name, by_seed in both.items()
    ]
    first = next(iter(ranked.values()))[0]
    known = tuple(name for name in HEADLINE if name in first.values) or tuple(first.values)[:1]
    return Evaluation(
        title=Irt.title,
        variants=tuple(variants),
        headline=known,
        metrics=known[:2],
        claims=tuple(_claims(ranked)),
        counts=counted(first),
        notes=(
            resampling("queries", seed_count(ranked)),
            "Queries are cut to their boxes. mP@10 counts no further than the last positive, as the published "
            "evaluation does.",
        ),
    )


def _result(model: Irt, ranked: Sequence[Ranked], suffix: str = "", addition: str = "") -> VariantResult:
    variant = model.variant
    measures = measured(ranked, model.trained_weights)
    title, name = variant.title + addition, variant.name + suffix
    return VariantResult(name=name, title=title, backbone=variant.start, measures=measures)


def _claims(ranked: Mapping[str, Sequence[Ranked]]) -> list[Claim]:
    """Return the claims for which the variants were scored and some query has positives."""
    measures = next(iter(ranked.values()))[0].values
    return [
        claim_difference(
            f"{claim} ({measure.removeprefix('map_')})",
            paper,
            f"{measure} of {first} minus {second}",
            difference(ranked, first, second, measure),
        )
        for (first, second), claim, reported in CLAIMS
        if {first, second} <= set(ranked)
        for measure, paper in reported.items()
        if measure in measures
    ]
