"""What the report is made of, read from the files that the stages wrote and checked key by key."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fieldmark.base.errors import UserError
from fieldmark.base.files import write_json

Number = Annotated[int | float, Field(allow_inf_nan=False)]


class _Checked(BaseModel):
    """A part of a results file; keys that the report does not know are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Measure(_Checked):
    """A number, with its 95 % interval where one was computed."""

    value: Number
    low: Number | None = None
    high: Number | None = None


def _measure(value: Any) -> Any:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


AnyMeasure = Annotated[Measure, BeforeValidator(_measure)]


class ClaimRow(_Checked):
    """A claim as a metrics file holds it."""

    claim: str
    paper: str
    decides: str
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    verdict: Literal["holds", "does not hold", "undecided"]


class MethodResult(_Checked):
    """`reports/metrics/<method>.json`. Variants are shown in `variant_order`, else as the file has them."""

    method: str
    title: str
    split: str
    dataset: str
    backbone: str = ""
    variants: dict[str, dict[str, AnyMeasure]] = Field(min_length=1)
    variant_order: list[str] = []
    variant_titles: dict[str, str] = {}
    headline: list[str] = Field(min_length=1)
    lower_is_better: list[str] = []  # among the headline
    claims: list[ClaimRow] = []
    counts: dict[str, int | float | str] = {}
    parameters: dict[str, Any] = {}
    notes: list[str] = []

    @property
    def ordered(self) -> list[str]:
        """Names of the variants in the order to show them."""
        first = [name for name in self.variant_order if name in self.variants]
        return first + [name for name in self.variants if name not in first]

    @property
    def others(self) -> list[str]:
        """Names of the measures that are no headline, in alphabetical order."""
        known = {name for measures in self.variants.values() for name in measures}
        return sorted(known - set(self.headline))


class Backbone(_Checked):
    """`reports/backbones/<name>.json`: where a backbone comes from and what it can do by itself; CLIPs alike."""

    name: str
    arch: str = ""
    weights: str | None = None
    parameters: Any = None
    split: str = ""
    metrics: dict[str, AnyMeasure] = {}
    notes: list[str] = []


class FigureEntry(_Checked):
    """One line of a `figures.json`: a picture file beside it, and what it shows."""

    file: str = Field(pattern=r"^[^/\\]+\.(svg|png|jpg|webp)$")
    title: str
    caption: str = ""
    wide: bool = False


class PhraseSample(_Checked):
    """One caption of a picture with its tagged words and its phrases."""

    id: str
    caption: str
    tagged: list[tuple[str, str]] = []
    phrases: list[str] = []


class PhrasesResult(_Checked):
    """`reports/phrases/<name>.json`: what was extracted from the captions of a data set."""

    dataset: str
    split: str
    tagger: str
    grammar: str = ""
    counts: dict[str, int] = {}
    phrases_per_picture: dict[str, Number] = {}
    unknown_words: float = Field(0.0, ge=0.0, le=1.0)
    frequent: list[tuple[str, int]] = []
    sample: list[PhraseSample] = []


@dataclass(frozen=True)
class FigureFile:
    """A figure to embed: its entry and its bytes."""

    entry: FigureEntry
    content: bytes


@dataclass(frozen=True)
class DatasetResult:
    """What is known of a data set: `summary` of its preparation and `validation`, either may be empty."""

    name: str
    summary: Mapping[str, Any]
    validation: Mapping[str, Any]
    figures: Sequence[FigureFile]


@dataclass(frozen=True)
class Results:
    """Everything the report shows; `expected` names the methods of `params.yaml` in their order."""

    methods: Sequence[MethodResult]
    method_figures: Mapping[str, Sequence[FigureFile]]
    backbones: Sequence[Backbone]
    clips: Sequence[Backbone]
    clip_figures: Mapping[str, Sequence[FigureFile]]
    datasets: Sequence[DatasetResult]
    phrases: Mapping[str, PhrasesResult]
    expected: Sequence[str]
    params: Mapping[str, Any]


M = TypeVar("M", bound=BaseModel)


def read_results(reports: Path, prepared: Path, params: Mapping[str, Any]) -> Results:
    """Read all that `reports` (metrics, figures and what else has numbers) and `prepared` (data sets) hold.

    Whatever is absent is left out. Raises UserError naming the file and the key of what is malformed.
    """
    figures = reports / "figures"
    methods = read_methods(reports, params)
    backbones = _named((reports / "backbones").glob("*.json"), params, "backbones")
    clips = _named((reports / "clips").glob("*.json"), params, "clips")
    datasets = _datasets(reports / "validation", prepared, figures / "data")
    return Results(
        methods=methods,
        method_figures={one.method: read_figures(figures / one.method) for one in methods},
        backbones=[_checked(Backbone, path) for path in backbones],
        clips=[_checked(Backbone, path) for path in clips],
        clip_figures={path.stem: read_figures(figures / "clips" / path.stem) for path in clips},
        datasets=[one for one in datasets if one.name in params.get("datasets", [one.name])],
        phrases={
            path.stem: _checked(PhrasesResult, path)
            for path in _named((reports / "phrases").glob("*.json"), params, "phrases")
        },
        expected=list(params.get("methods") or {}),
        params=params,
    )


def read_methods(reports: Path, params: Mapping[str, Any]) -> list[MethodResult]:
    """Read `reports/metrics/*.json` in the order of `methods` in `params`; what it no longer names is old."""
    methods = [_method(path) for path in _named((reports / "metrics").glob("*.json"), params, "methods")]
    order = list(params.get("methods") or {})
    return sorted(methods, key=lambda one: order.index(one.method) if one.method in order else len(order))


def read_figures(folder: Path) -> list[FigureFile]:
    """Read the figures that `folder/figures.json` lists, in its order; none without that file."""
    index = folder / "figures.json"
    if not index.exists():
        return []
    listed = _json(index)
    if not isinstance(listed, list):
        raise UserError(f"{index} must hold a list of figures; run the stage that writes it again")
    found = []
    for position, item in enumerate(listed):
        entry = _validated(FigureEntry, item, index, f"{position}.")
        path = folder / entry.file
        if not path.is_file():
            raise UserError(f"{index}: {position}.file names {entry.file}, which does not exist beside it")
        found.append(FigureFile(entry, path.read_bytes()))
    return found


def write_figures_index(folder: Path, entries: Sequence[FigureEntry]) -> None:
    """Write `folder/figures.json`, the list of figures in the order in which the report shows them."""
    write_json(folder / "figures.json", [entry.model_dump() for entry in entries])


def _method(path: Path) -> MethodResult:
    result = _checked(MethodResult, path)
    for position, name in enumerate(result.headline):
        if not any(name in measures for measures in result.variants.values()):
            raise UserError(f"{path}: headline.{position} names '{name}', which no variant has")
    return result


def _datasets(validation: Path, prepared: Path, figures: Path) -> list[DatasetResult]:
    summaries = {path.parent.name: path for path in prepared.glob("*/summary.json")}
    reports = {path.stem: path for path in validation.glob("*.json")}
    return [
        DatasetResult(
            name=name,
            summary=_mapping(summaries[name]) if name in summaries else {},
            validation=_mapping(reports[name]) if name in reports else {},
            figures=read_figures(figures / name),
        )
        for name in sorted({*summaries, *reports})
    ]


def _named(paths: Iterable[Path], params: Mapping[str, Any], block: str) -> list[Path]:
    """Return the files whose stem is a name in a block of `params`, sorted; all where the block is absent."""
    named = params.get(block)
    return [path for path in sorted(paths) if named is None or path.stem in named]


def _mapping(path: Path) -> dict[str, Any]:
    value = _json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold an object; run the stage that writes it again")
    return value


def _checked(model: type[M], path: Path) -> M:
    return _validated(model, _json(path), path)


def _validated(model: type[M], value: Any, path: Path, prefix: str = "") -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = prefix + ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key or 'the whole file'}: {first['msg']}") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}; run the stage that writes it again") from None
