"""Reading what the stages wrote, for the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.reporting.published import Published, read_published
from fieldmark.results.figures import FigureFile, read_figures
from fieldmark.results.files import checked, read_json
from fieldmark.results.schema import MethodResult, NetworkResult, PhrasesResult

TRANSFER = "transfer"


@dataclass(frozen=True)
class DatasetResult:
    """What is known of a data set: `summary` of its preparation, `validation` and `audit`; each may be empty."""

    name: str
    summary: Mapping[str, Any]
    validation: Mapping[str, Any]
    figures: Sequence[FigureFile]
    audit: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """Everything the report shows.

    `expected` names the methods of `params.yaml` in their order, `note` is what stands on top, `published` are the
    numbers of each method's paper that the preset in use brought along.
    """

    methods: Sequence[MethodResult]
    method_figures: Mapping[str, Sequence[FigureFile]]
    backbones: Sequence[NetworkResult]
    clip_models: Sequence[NetworkResult]
    clip_figures: Mapping[str, Sequence[FigureFile]]
    datasets: Sequence[DatasetResult]
    phrases: Mapping[str, PhrasesResult]
    expected: Sequence[str]
    params: Mapping[str, Any]
    note: str = ""
    published: Mapping[str, Sequence[Published]] = field(default_factory=dict)


def read_results(reports: Path, prepared: Path, params: Mapping[str, Any]) -> Results:
    """Read all that `reports` (results, figures, validation) and `prepared` (data sets) hold.

    Whatever is absent is left out, and so is what `params` no longer names. Raises UserError naming the file and
    the key of what is malformed.
    """
    results, figures = reports / "results", reports / "figures"
    methods, judged = read_methods(reports, params), read_transfers(reports, params)
    backbones = _named((results / "backbones").glob("*.json"), params, "backbones")
    clip_models = _named((results / "clip_models").glob("*.json"), params, "clip_models")
    phrases = _named((results / "phrases").glob("*.json"), params, "phrases")
    return Results(
        methods=[*methods, *judged.values()],
        method_figures={
            **{result.method: read_figures(figures / result.method) for result in methods},
            **{result.method: read_figures(figures / TRANSFER / name) for name, result in judged.items()},
        },
        backbones=[checked(NetworkResult, path) for path in backbones],
        clip_models=[checked(NetworkResult, path) for path in clip_models],
        clip_figures={path.stem: read_figures(figures / "clip_models" / path.stem) for path in clip_models},
        datasets=_datasets(reports, prepared, params),
        phrases={path.stem: checked(PhrasesResult, path) for path in phrases},
        expected=items_of(params, "methods") or [],
        params=params,
        note=Configuration(params).note(),
        published=read_published(params),
    )


def read_methods(reports: Path, params: Mapping[str, Any]) -> list[MethodResult]:
    """Read `reports/results/*.json` in the order of `methods` in `params`; what it no longer names is old."""
    paths = _named((reports / "results").glob("*.json"), params, "methods")
    order = items_of(params, "methods") or []
    paths.sort(key=lambda path: order.index(path.stem) if path.stem in order else len(order))
    return [checked(MethodResult, path) for path in paths]


def read_transfers(reports: Path, params: Mapping[str, Any]) -> dict[str, MethodResult]:
    """Read `reports/results/transfer/*.json` by name; the method of each is called after the item, too."""
    paths = _named((reports / "results" / TRANSFER).glob("*.json"), params, TRANSFER)
    results = {path.stem: checked(MethodResult, path) for path in paths}
    return {name: called_after(name, result) for name, result in results.items()}


def called_after(name: str, result: MethodResult) -> MethodResult:
    """Return a result of `transfer` as the report calls it: its method and title say where it was judged."""
    title = f"{result.title}, judged on {result.dataset}"
    return result.model_copy(update={"method": f"{result.method} on {name}", "title": title})


def items_of(params: Mapping[str, Any], block: str) -> list[str] | None:
    """Return the names of the items of a block of `params`, in order; None where there is no such block."""
    items = params.get(block)
    return list(items) if isinstance(items, dict) else None


def is_current(params: Mapping[str, Any], block: str, name: str) -> bool:
    """Say whether a block has an item `name`; results of what it no longer names are old. Without a block, True."""
    items = items_of(params, block)
    return items is None or name in items


def _datasets(reports: Path, prepared: Path, params: Mapping[str, Any]) -> list[DatasetResult]:
    summaries = {
        path.parent.name: path
        for path in prepared.glob("*/summary.json")
        if is_current(params, "datasets", path.parent.name)
    }
    checks, audits = (
        {path.stem: path for path in _named((reports / folder).glob("*.json"), params, "datasets")}
        for folder in ("validation", "results/audit")
    )
    return [
        DatasetResult(
            name=name,
            summary=_mapping(summaries[name]) if name in summaries else {},
            validation=_mapping(checks[name]) if name in checks else {},
            figures=read_figures(reports / "figures/data" / name),
            audit=_mapping(audits[name]) if name in audits else {},
        )
        for name in sorted({*summaries, *checks})
    ]


def _named(paths: Iterable[Path], params: Mapping[str, Any], block: str) -> list[Path]:
    """Return the files whose stem is a name in a block of `params`, sorted; all where the block is absent."""
    return [path for path in sorted(paths) if is_current(params, block, path.stem)]


def _mapping(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold an object; run the stage that writes it again")
    return value
