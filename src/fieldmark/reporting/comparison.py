"""Methods that were scored on the same split, in one table."""

from collections import defaultdict
from collections.abc import Sequence

from fieldmark.results.schema import MethodResult


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
    named = {f"{one.method.upper()} {variant}": (one, variant) for one in group for variant in one.ordered}
    return MethodResult(
        method=" and ".join(one.method for one in group),
        title=f"{', '.join(one.method.upper() for one in group)} side by side",
        split=group[0].split,
        dataset=group[0].dataset,
        variants={name: one.variants[variant] for name, (one, variant) in named.items()},
        variant_order=list(named),
        variant_titles={name: _title(one, variant) for name, (one, variant) in named.items()},
        headline=shared,
        lower_is_better=[name for name in shared if any(name in one.lower_is_better for one in group)],
    )


def _headlines(group: Sequence[MethodResult]) -> list[str]:
    return list(dict.fromkeys(name for one in group for name in one.headline))


def _has(result: MethodResult, measure: str) -> bool:
    return all(measure in measures for measures in result.variants.values())


def _title(result: MethodResult, variant: str) -> str:
    title = result.variant_titles.get(variant, "")
    return f"{title} ({result.backbone})" if result.backbone else title
