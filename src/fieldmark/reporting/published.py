"""What a paper reports, beside what was measured here: the block `expected` that a paper's preset brings along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from fieldmark.base.blocks import Block, parse
from fieldmark.base.errors import UserError
from fieldmark.reporting.formatting import is_fraction, number
from fieldmark.results.schema import Measure, MethodResult

EXPECTED = "expected"


class Published(Block):
    """One number of a paper's table: `value` and `tolerance` in its unit, per cent for shares such as recall@1.

    A measure that lies within `tolerance` of `value` repeats the paper.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    variant: str
    measure: str
    value: float
    table: str = Field(min_length=1)
    tolerance: float = Field(gt=0.0)


@dataclass(frozen=True)
class BesideView:
    """A published number beside ours, as shown; `verdict` says how far they are apart, `good` whether near."""

    variant: str
    measure: str
    paper: str
    here: str
    table: str
    verdict: str
    good: bool | None  # None: not measured


def read_published(params: Mapping[str, Any]) -> dict[str, tuple[Published, ...]]:
    """Return what `expected` in `params` says of each method, none without it. Raises UserError, one line."""
    block = params.get(EXPECTED) or {}
    if not isinstance(block, Mapping) or not all(isinstance(rows, list) for rows in block.values()):
        raise UserError(
            f"{EXPECTED} must map methods to lists of numbers of their papers, it is {block!r:.80}"
        )
    return {
        method: tuple(parse(Published, row, f"{EXPECTED}.{method}.{place}") for place, row in enumerate(rows))
        for method, rows in block.items()
    }


def beside(result: MethodResult, published: Sequence[Published]) -> list[BesideView]:
    """Return every published number of a method beside what was measured of that variant."""
    measured = {variant.name: variant.measures for variant in result.variants}
    return [_view(row, measured.get(row.variant, {}).get(row.measure)) for row in published]


def _view(row: Published, measure: Measure | None) -> BesideView:
    texts = row.variant, row.measure, _text(row.value)
    if measure is None:
        return BesideView(*texts, "not measured", row.table, "", None)
    here = 100 * measure.value if is_fraction(measure.value) else measure.value
    apart = here - row.value
    good = abs(apart) <= row.tolerance
    side = "above" if apart > 0 else "below"
    verdict = (
        f"within {row.tolerance:g}" if good else f"{_text(abs(apart))} {side}, more than {row.tolerance:g}"
    )
    return BesideView(*texts, _text(here), row.table, verdict, good)


def _text(value: float) -> str:
    return number(value / 100, fraction=True)  # one decimal, as papers print them
