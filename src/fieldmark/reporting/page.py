"""The page `index.html`: one file that needs nothing else, every text from outside escaped."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fieldmark.reporting import formatting
from fieldmark.reporting.comparison import comparisons
from fieldmark.reporting.datasets import dataset_view
from fieldmark.reporting.formatting import MISSING
from fieldmark.reporting.phrases import phrases_view
from fieldmark.reporting.reading import Results
from fieldmark.results.figures import FigureEntry, FigureFile
from fieldmark.results.schema import Claim, Measure, MethodResult, NetworkResult

MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
PACKAGES = ("torch", "torchvision", "timm", "lightning-fabric", "numpy", "scikit-learn", "pillow", "pyarrow")
VERDICTS = {"holds": ("✓", "yes"), "does not hold": ("✗", "no"), "undecided": ("?", "open")}


@dataclass(frozen=True)
class CellView:
    """A number of a table; `start`, `width` and `at` place its interval on a 0 to 100 track, if a share."""

    text: str
    interval: str = ""
    best: bool = False
    at: float | None = None
    start: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class TableView:
    """Variants (rows) by measures (columns); `unit` says which columns are in per cent."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, str, Sequence[CellView]]]


@dataclass(frozen=True)
class ClaimView:
    """A claim as shown: texts, the verdict's icon and its style."""

    method: str
    row: Claim
    value: str
    interval: str
    icon: str
    style: str


@dataclass(frozen=True)
class FigureView:
    """A figure as shown: its texts and its bytes as a data URI."""

    entry: FigureEntry
    uri: str


@dataclass(frozen=True)
class MethodView:
    """One method's section."""

    result: MethodResult
    headline: TableView
    others: TableView | None
    claims: Sequence[ClaimView]
    figures: Sequence[FigureView]
    counts: Sequence[tuple[str, str]]
    parameters: Sequence[tuple[str, str]]


def render_page(results: Results) -> str:
    """Return the HTML of the report. The same results and packages give the same text."""
    environment = Environment(
        loader=PackageLoader("fieldmark.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    views = [_method_view(one, results.method_figures.get(one.method, [])) for one in results.methods]
    present = {one.method for one in results.methods}
    html = environment.get_template("page.html").render(
        methods=views,
        comparisons=[(one, measure_table(one, one.headline)) for one in comparisons(results.methods)],
        missing=[name for name in results.expected if name not in present],
        claims=[claim for view in views for claim in view.claims],
        verdicts=Counter(claim.row.verdict for view in views for claim in view.claims),
        icons=VERDICTS,
        datasets=[dataset_view(one) for one in results.datasets],
        data_figures={one.name: _figures(one.figures) for one in results.datasets},
        phrases=[phrases_view(name, one) for name, one in results.phrases.items()],
        backbones=[_backbone_view(one) for one in results.backbones],
        clip_models=[_backbone_view(one) for one in results.clip_models],
        clip_figures=[_figures(figures) for figures in results.clip_figures.values()],
        versions=package_versions(),
        fingerprint=fingerprint(results.params),
    )
    return html + "\n"


def fingerprint(params: Mapping[str, Any]) -> str:
    """Return the first 12 hex digits of the SHA-256 of the parameters that decide results (no `runtime`)."""
    deciding = {key: value for key, value in params.items() if key != "runtime"}
    canonical = json.dumps(deciding, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def package_versions() -> list[tuple[str, str]]:
    """Return the public versions of the packages that numbers depend on (without build tags such as +cpu)."""
    found = []
    for name in PACKAGES:
        try:
            found.append((name, version(name).partition("+")[0]))
        except PackageNotFoundError:
            continue
    return found


def data_uri(content: bytes, suffix: str) -> str:
    """Return bytes as a data URI: SVG as percent-encoded text, which is smaller, the rest in base64."""
    kind = MEDIA_TYPES[suffix]
    if suffix != "svg":
        return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    text = content.decode("utf-8").replace("%", "%25").replace("#", "%23")
    text = text.replace('"', "%22").replace("<", "%3C").replace(">", "%3E").replace("&", "%26")
    return f"data:{kind};charset=utf-8,{' '.join(text.split())}"


def measure_table(result: MethodResult, names: Sequence[str]) -> TableView:
    """Lay out the measures `names` of every variant; the best of each column is marked when there are two."""
    columns = {name: _column(result, name) for name in names}
    rows = [
        (variant.name, variant.title, [columns[name][variant.name] for name in names])
        for variant in result.variants
    ]
    shares = {name: any(cell.at is not None for cell in columns[name].values()) for name in names}
    return TableView([(name, "%" if shares[name] else "") for name in names], rows)


def _column(result: MethodResult, name: str) -> dict[str, CellView]:
    found = {variant.name: variant.measures.get(name) for variant in result.variants}
    values = [one.value for one in found.values() if one is not None]
    share = all(formatting.is_share(value) for value in values)
    # Of other measures than headline shares, such as a count, nobody can say which is best.
    contested = share and name in result.headline and len(values) > 1 and min(values) < max(values)
    best = (min if name in result.lower_is_better else max)(values) if contested else None
    return {variant: _cell(one, share, best) for variant, one in found.items()}


def _cell(measure: Measure | None, share: bool, best: float | None) -> CellView:
    if measure is None:
        return CellView(MISSING)
    texts = formatting.number(measure.value, share), formatting.interval_text(measure, share)
    is_best = measure.value == best
    if not share or measure.value < 0:
        return CellView(*texts, is_best)
    low = measure.value if measure.low is None else measure.low
    high = measure.value if measure.high is None else measure.high
    percent = [round(100 * min(max(one, 0.0), 1.0), 1) for one in (measure.value, low, high)]
    return CellView(*texts, is_best, percent[0], percent[1], round(percent[2] - percent[1], 1))


def _method_view(result: MethodResult, figures: Sequence[FigureFile]) -> MethodView:
    return MethodView(
        result=result,
        headline=measure_table(result, result.headline),
        others=measure_table(result, result.others) if result.others else None,
        claims=[_claim_view(result.method, row) for row in result.claims],
        figures=_figures(figures),
        counts=[(name, _count(value)) for name, value in result.counts.items()],
        parameters=formatting.flattened(result.parameters),
    )


def _count(value: float | str) -> str:
    return formatting.number(value) if isinstance(value, float) else formatting.plain(value)


def _claim_view(method: str, row: Claim) -> ClaimView:
    return ClaimView(method, row, *formatting.claim_value(row), *VERDICTS[row.verdict])


def _figures(figures: Sequence[FigureFile]) -> list[FigureView]:
    return [FigureView(one.entry, data_uri(one.content, one.entry.file.rsplit(".", 1)[1])) for one in figures]


def _backbone_view(backbone: NetworkResult) -> dict[str, Any]:
    measures = backbone.measures.items()
    texts = [(name, formatting.number(one.value, formatting.is_share(one.value))) for name, one in measures]
    shares = [formatting.is_share(one.value) for _, one in measures]
    intervals = [
        formatting.interval_text(one, share) for (_, one), share in zip(measures, shares, strict=True)
    ]
    return {
        "backbone": backbone,
        "parameters": "" if backbone.parameters is None else f"{backbone.parameters / 1e6:.2f} M",
        "metrics": [
            (name, f"{text} %" if share else text, span)
            for (name, text), share, span in zip(texts, shares, intervals, strict=True)
        ],
    }
