"""Methods that were scored on the same split, in one table."""

from collections import defaultdict
from collections.abc import Sequence

from fieldmark.results.schema import MethodResult, VariantResult


def comparisons(methods: Sequence[MethodResult]) -> list[MethodResult]:
    """Merge the methods that saw the same of a split and have a headline in common; variants are `METHOD variant`."""
    groups: dict[tuple[str, str, str], list[MethodResult]] = defaultdict(list)
    for result in methods:
        groups[result.dataset, result.split, result.region].append(result)
    merged = [_merged(group) for group in groups.values() if len(group) > 1]
    return [result for result in merged if result is not None]


def _merged(group: Sequence[MethodResult]) -> MethodResult | None:
    shared = [name for name in _headlines(group) if all(_has(result, name) for result in group)]
    if not shared:
        return None
    return MethodResult(
        method=" and ".join(result.method for result in group),
        title=f"{', '.join(result.method.upper() for result in group)} side by side",
        split=group[0].split,
        dataset=group[0].dataset,
        region=group[0].region,
        variants=tuple(_renamed(result, variant) for result in group for variant in result.variants),
        headline=tuple(shared),
        metrics=tuple(shared),
        lower_is_better=tuple(
            name for name in shared if any(name in result.lower_is_better for result in group)
        ),
    )


def _headlines(group: Sequence[MethodResult]) -> list[str]:
    return list(dict.fromkeys(name for result in group for name in result.headline))


def _has(result: MethodResult, measure: str) -> bool:
    return all(measure in variant.measures for variant in result.variants)


def _renamed(result: MethodResult, variant: VariantResult) -> VariantResult:
    """Return a variant as `METHOD variant`, its backbone beside its title."""
    backbone = variant.backbone or result.backbone
    title = f"{variant.title} ({backbone})" if backbone else variant.title
    return VariantResult(
        name=f"{result.method.upper()} {variant.name}", title=title, measures=variant.measures
    )
