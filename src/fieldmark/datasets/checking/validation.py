"""Great Expectations over manifest and splits. Only this file imports the package: the import takes seconds."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.checking.facts import (
    class_balance,
    has_labels,
    label_balance,
    landmark_facts,
    left_out,
    longtail_facts,
    manifest_facts,
    split_facts,
)
from fieldmark.datasets.data.packed.manifest import COLUMNS
from fieldmark.datasets.data.roles.multilabel import label_names, training_counts
from fieldmark.datasets.data.roles.splits import COLUMNS as SPLIT_COLUMNS
from fieldmark.datasets.data.roles.splits import ROLES, SplitParams
from fieldmark.longtail.frequency import frequency_masks

# Both must be set before the import: then no connection is made, and the log is not filled with its remarks.
os.environ["GX_ANALYTICS_ENABLED"] = "false"
logging.getLogger("great_expectations").setLevel(logging.WARNING)

import great_expectations as gx  # noqa: E402
import great_expectations.expectations  # noqa: E402
from great_expectations.data_context.types import base as gx_base  # noqa: E402

gxe: Any = gx.expectations

NAMED = 5  # how many offending pictures are named per failed expectation
WHOLE = ("retrieval", "classification", "dense")  # kinds of splits in which every picture should take part
UNLABELLED = ("longtail", "landmarks")  # whose labels are -1
BOX_TOLERANCE = 1e-3  # pixels: rounding of a scaled box
_LABELS = ("labels are the indices of the sorted class names", "labels are left to the manifest")
log = logging.getLogger(__name__)

Suite = dict[str, Any]  # expectations by the sentence that a person reads
Outcome = dict[str, Any]


def validate(
    manifest: pd.DataFrame,
    params: DatasetParams,
    splits: Mapping[str, pd.DataFrame],
    split_params: Mapping[str, SplitParams],
) -> dict[str, Any]:
    """Check a prepared data set and its splits; return a report that depends on nothing else.

    The report lists every expectation with its outcome, and the class balance of the data set and of every role;
    for a long-tailed split it also lists the classes of head, middle and tail, and for splits that should take every
    picture what takes no part. Raises UserError when a critical
    expectation fails, naming it and the first offending pictures. Duplicates within a role and labels that are
    never trained on are only warnings in the report.
    """
    tables = _quiet_context().data_sources.add_pandas("tables")
    multi = has_labels(manifest)
    outcomes = _run(tables, "manifest", manifest.head(0), _columns_suite(COLUMNS.names))
    _stop_on_failure(outcomes)
    outcomes += _run(
        tables, "manifest", manifest_facts(manifest, params), manifest_suite(params, len(manifest), multi)
    )
    for name, split in splits.items():
        columns = _run(tables, f"split {name}", split.head(0), _columns_suite(SPLIT_COLUMNS.names))
        _stop_on_failure(columns)
        kind = split_params[name].kind
        facts = _facts(split, manifest, kind)
        outcomes += columns + _run(
            tables, f"split {name}", facts, split_suite(split_params[name], set(split["role"]))
        )
    _stop_on_failure(outcomes)
    report = {
        "expectations": outcomes,
        "balance": label_balance(manifest["labels"]) if multi else class_balance(manifest["class_name"]),
        "splits": {name: _role_balance(split, manifest, multi) for name, split in splits.items()},
    }
    tailed = [name for name in splits if split_params[name].kind == "longtail"]
    groups = {name: _frequency_groups(splits[name], manifest, split_params[name]) for name in tailed}
    absent = {name: left_out(splits[name], manifest) for name in splits if split_params[name].kind in WHOLE}
    absent = {name: facts for name, facts in absent.items() if facts}
    return {**report, **({"groups": groups} if groups else {}), **({"left_out": absent} if absent else {})}


def _facts(split: pd.DataFrame, manifest: pd.DataFrame, kind: str) -> pd.DataFrame:
    if kind == "landmarks":
        return landmark_facts(split, manifest)
    return longtail_facts(split, manifest) if kind == "longtail" else split_facts(split, manifest, kind)


def manifest_suite(params: DatasetParams, pictures: int, multi: bool = False) -> Suite:
    """Return what is expected of the columns of `manifest_facts`; `multi` is for a set with several labels."""
    expect, promises = params.expect, params.open_source().promises
    suite = {
        "every id occurs once": _unique("id"),
        "every row of the store occurs once": _unique("row"),
        "rows are rows of the store": _between("row", 0, pictures - 1),
        "labels are the indices of the sorted class names": _between("label_error", 0, 0),
        f"shorter side at least {expect.min_side} pixels": _between("shorter_side", expect.min_side, None),
        f"longer side at most {expect.max_side} pixels": _between("longer_side", None, expect.max_side),
        f"longer side at most {expect.max_aspect:g} x the shorter": _between("aspect", 1, expect.max_aspect),
        "boxes lie inside their picture": _between("box_past_edge", None, BOX_TOLERANCE),
        "no caption is blank": _between("blank_captions", 0, 0),
        "no two pictures are equal": _unique("sha256", severity="warning"),
    }
    if multi:
        suite[f"{expect.labelled:.0%} of the pictures have labels"] = _between(
            "labels", 1, None, mostly=expect.labelled
        )
        suite["no label is blank or twice on a picture"] = _between("odd_labels", 0, 0)
    if promises["captions"]:
        how_many = (
            f"{expect.captioned:.0%} of the pictures have" if expect.captioned < 1 else "every picture has"
        )
        suite[f"{how_many} captions"] = _between("captions", 1, None, mostly=expect.captioned)
    if promises["boxes"]:
        suite["every picture has a box"] = _between("has_box", 1, 1)
    if promises["masks"]:
        suite["every picture has a mask"] = _between("mask_row", 0, None)
    return suite


def split_suite(params: SplitParams, roles: set[str]) -> Suite:
    """Return what is expected of the columns of `split_facts` for a split of these parameters with these roles."""
    kind, leaks = params.kind, "warning" if params.copies == "keep" else "critical"
    if kind == "landmarks":
        leaks = "warning"  # a benchmark is taken as it is published
    tested = ["query", "gallery"] if "query" in roles else ["test"]
    needed = tested if kind == "landmarks" else ["train", *tested]
    suite = {
        "every picture occurs once": _unique("id"),
        "every picture stands in the manifest": gxe.ExpectColumnValuesToNotBeNull(column="row_error"),
        "rows agree with the manifest": _between("row_error", 0, 0),
        "roles are known": gxe.ExpectColumnValuesToBeInSet(column="role", value_set=list(ROLES)),
        f"there is {' and '.join(needed)}": gxe.ExpectColumnDistinctValuesToContainSet(
            column="role", value_set=needed
        ),
        _LABELS[kind in UNLABELLED]: _between("label_error", 0, 0),
        "no picture's content has two roles": _between("content_roles", 1, 1, severity=leaks),
    }
    if kind == "retrieval":
        suite["no class is both in train and in the test"] = _between("class_sides", 1, 1)
        suite["every test class has at least two pictures"] = _between("test_pictures", 2, None)
    elif kind == "landmarks":
        suite["every query has something to find"] = _between("findable", 1, 1, severity="warning")
    elif kind == "longtail":
        suite["every label has training pictures"] = _between("untrained", 0, 0, severity="warning")
    else:
        suite["every class has training pictures"] = _between("unseen", 0, 0)
    return suite


def _quiet_context() -> Any:
    """Return a context in memory: no files, no progress bars, no connection."""
    config = gx_base.DataContextConfig(
        store_backend_defaults=gx_base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=gx_base.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _columns_suite(names: list[str]) -> Suite:
    return {
        "the columns are those of the schema": gxe.ExpectTableColumnsToMatchOrderedList(column_list=names)
    }


def _unique(column: str, severity: str = "critical") -> Any:
    return gxe.ExpectColumnValuesToBeUnique(column=column, severity=severity)


def _between(
    column: str,
    low: float | None,
    high: float | None,
    mostly: float = 1.0,
    severity: str = "critical",
) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, mostly=mostly, severity=severity
    )


def _run(tables: Any, table: str, frame: pd.DataFrame, suite: Suite) -> list[Outcome]:
    """Validate one frame; return one outcome per expectation, in the suite's order."""
    asset = tables.add_dataframe_asset(f"{table} {len(tables.assets)}")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    for name, expectation in suite.items():
        expectation.meta = {"name": name}
    result = batch.validate(
        gx.ExpectationSuite(name=table, expectations=list(suite.values())),
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": NAMED,
            "unexpected_index_column_names": ["id"],
        },
    )
    of_name = {item.expectation_config.meta["name"]: item for item in result.results}
    return [_outcome(table, name, str(suite[name].severity.value), of_name[name]) for name in suite]


def _outcome(table: str, name: str, severity: str, result: Any) -> Outcome:
    details = result.result
    if not details and not result.success:
        raise RuntimeError(f"expectation '{name}' on {table} did not run: {result.exception_info}")
    outcome = {"table": table, "expectation": name, "severity": severity, "success": bool(result.success)}
    if "unexpected_count" in details:
        outcome["unexpected"] = details["unexpected_count"]
    if not result.success:
        offending = details.get("partial_unexpected_index_list") or []
        outcome["ids"] = sorted({str(entry["id"]) for entry in offending})
        outcome["observed"] = str(details.get("observed_value", ""))
    return outcome


def _stop_on_failure(outcomes: list[Outcome]) -> None:
    """Log every failed expectation; raise UserError when a critical one is among them."""
    failed = [outcome for outcome in outcomes if not outcome["success"]]
    for outcome in failed:
        log.warning("%s: %s", outcome["severity"], _describe(outcome))
    critical = [outcome for outcome in failed if outcome["severity"] == "critical"]
    if critical:
        more = f" (and {len(critical) - 1} more expectations)" if len(critical) > 1 else ""
        raise UserError(f"validation failed: {_describe(critical[0])}{more}")


def _describe(outcome: Outcome) -> str:
    text = f"{outcome['table']}: expected '{outcome['expectation']}'"
    if outcome["ids"]:
        dots = ", ..." if outcome["unexpected"] > len(outcome["ids"]) else ""
        return f"{text}, not so for {outcome['unexpected']} pictures: {', '.join(outcome['ids'])}{dots}"
    return f"{text}, found {outcome['observed']}" if outcome["observed"] else text


def _role_balance(split: pd.DataFrame, manifest: pd.DataFrame, multi: bool) -> dict[str, Any]:
    roles = split.groupby("role")
    if not multi:
        return {str(role): class_balance(part["class_name"]) for role, part in roles}
    labels = split["id"].map(manifest.set_index("id")["labels"])
    return {str(role): label_balance(labels[part.index]) for role, part in roles}


def _frequency_groups(split: pd.DataFrame, manifest: pd.DataFrame, params: SplitParams) -> dict[str, Any]:
    """Return the classes of head, middle and tail, the most frequent first, with their thresholds."""
    classes = label_names(manifest)
    counts = training_counts(manifest, split, classes)
    order = sorted(range(len(classes)), key=lambda index: (-counts[index], classes[index]))
    masks = frequency_masks(counts, params.head, params.tail)
    groups = {name: [classes[index] for index in order if mask[index]] for name, mask in masks.items()}
    return {"thresholds": {"head": params.head, "tail": params.tail}, **groups}
