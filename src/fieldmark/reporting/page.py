"""The page `index.html`: one file that needs nothing else, every text from outside escaped."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fieldmark.reporting import formatting
from fieldmark.reporting.comparison import comparisons
from fieldmark.reporting.datasets import dataset_view
from fieldmark.reporting.formatting import MISSING, VERDICTS
from fieldmark.reporting.phrases import phrases_view
from fieldmark.reporting.published import EXPECTED, BesideView, beside
from fieldmark.reporting.reading import Results
from fieldmark.results.figures import FigureEntry, FigureFile
from fieldmark.results.schema import Claim, Measure, MethodResult, NetworkResult

MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
SILENT = ("runtime", "note", EXPECTED)  # blocks of parameters that decide no result
PACKAGES = ("torch", "torchvision", "timm", "lightning-fabric", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True)
class TrackView:
    """Where a value, its interval, the values of its seeds and (for a difference) zero lie on a 0 to 100 track."""

    at: float
    start: float
    width: float
    dots: Sequence[float] = ()
    zero: float | None = None


@dataclass(frozen=True)
class CellView:
    """A number of a table; `track` places it and its interval, if a fraction."""

    text: str
    interval: str = ""
    best: bool = False
    track: TrackView | None = None


@dataclass(frozen=True)
class TableView:
    """Variants (rows) by measures (columns); `unit` says which columns are in per cent."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, str, Sequence[CellView]]]


@dataclass(frozen=True)
class ClaimView:
    """A claim as shown: texts, the verdict's icon and its style; `track` shows several seeds."""

    method: str
    row: Claim
    evidence: str
    track: TrackView | None
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
    beside: Sequence[BesideView]
    others: TableView | None
    claims: Sequence[ClaimView]
    figures: Sequence[FigureView]
    counts: Sequence[tuple[str, str]]
    parameters: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class NetworkView:
    """A backbone or a CLIP as shown: how many weights it has, and (name, value, interval) of each of its scores."""

    result: NetworkResult
    size: str
    scores: Sequence[tuple[str, str, str]]


def render_page(results: Results) -> str:
    """Return the HTML of the report. The same results and packages give the same text."""
    environment = Environment(
        loader=PackageLoader("fieldmark.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    views = [_method_view(results, result) for result in results.methods]
    present = {result.method for result in results.methods}
    html = environment.get_template("page.html").render(
        note=results.note,
        methods=views,
        comparisons=[
            (result, measure_table(result, result.headline)) for result in comparisons(results.methods)
        ],
        missing=[name for name in results.expected if name not in present],
        claims=[claim for view in views for claim in view.claims],
        verdicts=Counter(claim.row.verdict for view in views for claim in view.claims),
        icons=VERDICTS,
        datasets=[dataset_view(result) for result in results.datasets],
        data_figures={result.name: _figures(result.figures) for result in results.datasets},
        phrases=[phrases_view(name, result) for name, result in results.phrases.items()],
        backbones=[_network_view(result) for result in results.backbones],
        clip_models=[_network_view(result) for result in results.clip_models],
        clip_figures=[_figures(figures) for figures in results.clip_figures.values()],
        versions=package_versions(),
        fingerprint=fingerprint(results.params),
    )
    return html + "\n"


def fingerprint(params: Mapping[str, Any]) -> str:
    """Return the first 12 hex digits of the SHA-256 of the parameters that decide results (not `SILENT`)."""
    deciding = {key: value for key, value in params.items() if key not in SILENT}
    canonical = json.dumps(deciding, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def package_versions() -> list[tuple[str, str]]:
    """Return the public versions of the packages that numbers depend on (without build tags such as +cpu)."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append((name, version(name).partition("+")[0]))
        except PackageNotFoundError:
            continue
    return versions


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
    fractions = {name: any(cell.track is not None for cell in columns[name].values()) for name in names}
    return TableView([(name, "%" if fractions[name] else "") for name in names], rows)


def _column(result: MethodResult, name: str) -> dict[str, CellView]:
    measures = {variant.name: variant.measures.get(name) for variant in result.variants}
    values = [measure.value for measure in measures.values() if measure is not None]
    fraction = all(formatting.is_fraction(value) for value in values)
    # Of other measures than headline fractions, such as a count, nobody can say which is best.
    contested = fraction and name in result.headline and len(values) > 1 and min(values) < max(values)
    best = (min if name in result.lower_is_better else max)(values) if contested else None
    return {variant: _cell(measure, fraction, best) for variant, measure in measures.items()}


def _cell(measure: Measure | None, fraction: bool, best: float | None) -> CellView:
    if measure is None:
        return CellView(MISSING)
    texts = formatting.number(measure.value, fraction), formatting.interval_text(measure, fraction)
    is_best = measure.value == best
    if not fraction or measure.value < 0:
        return CellView(*texts, is_best)
    return CellView(*texts, is_best, _track(measure, 0.0, 1.0))


def _track(measure: Measure | Claim, first: float, last: float) -> TrackView:
    """Place a measured value on a track from `first` to `last`; what lies beyond is placed at its end."""
    value = measure.value or 0.0
    low = value if measure.low is None else measure.low
    high = value if measure.high is None else measure.high
    at, start, end, *dots = (
        round(100 * min(max((side - first) / (last - first), 0.0), 1.0), 1)
        for side in (value, low, high, *measure.seeds)
    )
    return TrackView(at, start, round(end - start, 1), tuple(dots))


def _claim_track(claim: Claim) -> TrackView | None:
    """Place a difference that was measured with several seeds on a track that holds all of it, and zero."""
    if not claim.seeds:
        return None
    sides = [side for side in (claim.low, claim.high, *claim.seeds, 0.0) if side is not None]
    first, last = min(sides), max(sides)
    if first == last:
        return None
    return replace(_track(claim, first, last), zero=round(100 * -first / (last - first), 1))


def _method_view(results: Results, result: MethodResult) -> MethodView:
    return MethodView(
        result=result,
        headline=measure_table(result, result.headline),
        beside=beside(result, results.published.get(result.method, ())),
        others=measure_table(result, result.others) if result.others else None,
        claims=[_claim_view(result.method, row) for row in result.claims],
        figures=_figures(results.method_figures.get(result.method, [])),
        counts=[(name, formatting.count(value)) for name, value in result.counts.items()],
        parameters=[(name, formatting.plain(value)) for name, value in formatting.leaves(result.parameters)],
    )


def _claim_view(method: str, row: Claim) -> ClaimView:
    shown = formatting.evidence(row), _claim_track(row)
    return ClaimView(method, row, *shown, *formatting.claim_value(row), *VERDICTS[row.verdict])


def _figures(figures: Sequence[FigureFile]) -> list[FigureView]:
    return [
        FigureView(figure.entry, data_uri(figure.content, figure.entry.file.rsplit(".", 1)[1]))
        for figure in figures
    ]


def _network_view(result: NetworkResult) -> NetworkView:
    size = "" if result.parameters is None else f"{result.parameters / 1e6:.2f} M"
    return NetworkView(result, size, [_score(name, measure) for name, measure in result.measures.items()])


def _score(name: str, measure: Measure) -> tuple[str, str, str]:
    fraction = formatting.is_fraction(measure.value)
    text = formatting.number(measure.value, fraction)
    return name, f"{text} %" if fraction else text, formatting.interval_text(measure, fraction)
