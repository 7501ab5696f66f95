"""What a revision says: its parameters, its headline measures with their intervals, its claims."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from fieldmark.base.blocks import parse_yaml
from fieldmark.base.errors import UserError
from fieldmark.reporting.reading import TRANSFER, called_after, is_current, items_of
from fieldmark.reporting.revisions import Revision
from fieldmark.results.files import parse_json, validated
from fieldmark.results.schema import Claim, Measure, MethodResult, MetricValues, NetworkResult

PARAMS, RESULTS, METRICS = "params.yaml", "reports/results", "reports/metrics"
Result = MethodResult | NetworkResult
# By folder below reports/results, what its files hold; other folders hold no measures with intervals.
SCHEMAS: Mapping[str, type[Result]] = {
    "": MethodResult,
    TRANSFER: MethodResult,
    "backbones": NetworkResult,
    "clip_models": NetworkResult,
    "prompts": NetworkResult,
}
# By folder, the block of params.yaml that names its files, where the two names differ.
BLOCKS = {
    "": "methods",
    "difficulty": "datasets",
}


class MeasureKey(NamedTuple):
    """A value in reports/metrics: its file without the ending, such as `backbones/vit`, and its name there."""

    source: str
    name: str


class ClaimKey(NamedTuple):
    """A claim of a method; `copy` numbers the claims that say the same."""

    method: str
    claim: str
    decides: str
    copy: int


@dataclass(frozen=True)
class Snapshot:
    """One revision. Where `unread` says why its results cannot be read, it has neither measures nor claims."""

    title: str
    params: Mapping[str, Any]
    measures: Mapping[MeasureKey, Measure]
    claims: Mapping[ClaimKey, Claim]
    unread: str = ""


def read_snapshot(revision: Revision) -> Snapshot:
    """Read a revision. Raises UserError when it has no params.yaml, or a malformed one."""
    text = revision.read(PARAMS).decode("utf-8", "replace")
    params = parse_yaml(text, revision.where(PARAMS))
    try:
        results = _results(revision, params)
        return Snapshot(
            revision.title, params, _measures(revision, params, results), _claims(results.values())
        )
    except UserError as error:
        return Snapshot(revision.title, params, {}, {}, unread=str(error))


def _results(revision: Revision, params: Mapping[str, Any]) -> dict[str, Result]:
    """Return what reports/results holds by its source, methods first and in the order of `params`."""
    files = _sources(revision, RESULTS, params)
    if not files:
        raise UserError(f"there is no file in {RESULTS}")
    schemas = {source: SCHEMAS.get(_folder(source)) for source in files}
    results = {
        source: validated(schema, _json(revision, files[source]), revision.where(files[source]))
        for source, schema in schemas.items()
        if schema is not None
    }
    return {source: _named(source, result) for source, result in results.items()}


def _named(source: str, result: Result) -> Result:
    """Return a result with the name of its method as the report has it."""
    folder, _, name = source.rpartition("/")
    return called_after(name, result) if folder == TRANSFER and isinstance(result, MethodResult) else result


def _measures(
    revision: Revision, params: Mapping[str, Any], results: Mapping[str, Result]
) -> dict[MeasureKey, Measure]:
    """Return the values in reports/metrics, with the intervals that `results` have for them."""
    measures = {}
    for source, file in _sources(revision, METRICS, params).items():
        known = results[source].metric_measures if source in results else {}
        values = validated(MetricValues, _json(revision, file), revision.where(file)).root
        for name, value in values.items():
            update = {"value": value}
            measures[MeasureKey(source, name)] = known.get(name, Measure(value=value)).model_copy(
                update=update
            )
    return measures


def _claims(results: Iterable[Result]) -> dict[ClaimKey, Claim]:
    claims: dict[ClaimKey, Claim] = {}
    seen = Counter[tuple[str, str, str]]()
    for result in (result for result in results if isinstance(result, MethodResult)):
        for claim in result.claims:
            said = result.method, claim.claim, claim.decides
            claims[ClaimKey(*said, copy=seen[said])] = claim
            seen[said] += 1
    return claims


def _sources(revision: Revision, root: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the JSON files below `root` by their source, such as `backbones/vit`; without those of an earlier run."""
    paths = [PurePosixPath(file) for file in revision.files(root) if file.endswith(".json")]
    sources = {path.relative_to(root).with_suffix("").as_posix(): str(path) for path in paths}
    current = [source for source in sources if is_current(params, _block(source), PurePosixPath(source).name)]
    order = items_of(params, "methods") or []
    current.sort(
        key=lambda source: ("/" in source, order.index(source) if source in order else len(order), source)
    )
    return {source: sources[source] for source in current}


def _block(source: str) -> str:
    return BLOCKS.get(_folder(source), _folder(source))


def _folder(source: str) -> str:
    return source.rpartition("/")[0]


def _json(revision: Revision, file: str) -> Any:
    return parse_json(revision.read(file), revision.where(file))
