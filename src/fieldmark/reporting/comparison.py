"""Methods that were scored on the same split, in one table."""

from collections import defaultdict
from collections.abc import Sequence

from fieldmark.results.schema import MethodResult, VariantResult


def comparisons(methods: Sequence[MethodResult]) -> list[MethodResult]:
    """Merge the methods of each split that have a headline in common: one result each, variants `METHOD variant`."""
    groups: dict[tuple[str, str], list[MethodResult]] = defaultdict(list)
    for one in methods:
        groups[one.dataset, one.split].append(one)
    merged = [_merged(group) for group in groups.values() if len(group) > 1]
    return [one for one in merged if one is not None]


def _merged(group: Sequence[MethodResult]) -> MethodResult | None:
    shared = [name for name in _headlines(group) if all(_has(one, name) for one in group)]
    if not shared:
        return None
    return MethodResult(
        method=" and ".join(one.method for one in group),
        title=f"{', '.join(one.method.upper() for one in group)} side by side",
        split=group[0].split,
        dataset=group[0].dataset,
        variants=tuple(_renamed(one, variant) for one in group for variant in one.variants),
        headline=tuple(shared),
        metrics=tuple(shared),
        lower_is_better=tuple(name for name in shared if any(name in one.lower_is_better for one in group)),
    )


def _headlines(group: Sequence[MethodResult]) -> list[str]:
    return list(dict.fromkeys(name for one in group for name in one.headline))


def _has(result: MethodResult, measure: str) -> bool:
    return all(measure in variant.measures for variant in result.variants)


def _renamed(result: MethodResult, variant: VariantResult) -> VariantResult:
    """Return a variant as `METHOD variant`, its backbone beside its title."""
    title = f"{variant.title} ({result.backbone})" if result.backbone else variant.title
    return VariantResult(
        name=f"{result.method.upper()} {variant.name}", title=title, measures=variant.measures
    )
