"""From records to a prepared data set: image store, manifest, list of rejected pictures, and a summary."""

import json
import logging
import operator
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, write_json
from fieldmark.base.processors import processors
from fieldmark.base.progress import progress
from fieldmark.datasets.acquire.fields import require_one_line
from fieldmark.datasets.acquire.listing import few
from fieldmark.datasets.acquire.records import LeftOut, MaskLabels, Record
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.acquire.walking import require_utf8
from fieldmark.datasets.data.packed.manifest import write_manifest
from fieldmark.datasets.data.packed.store import MASK_NAMES, StoreWriter
from fieldmark.datasets.preparing.accounts import accounts_of, alike, lost_classes, say
from fieldmark.datasets.preparing.decoding import BadImageError
from fieldmark.datasets.preparing.labels import labels_without_pixel
from fieldmark.datasets.preparing.pictures import Picture, process

MANIFEST = "manifest.parquet"
AHEAD = 4  # pictures that are being worked on, per worker: this bounds the memory
SHOWN = 50  # how many rejected pictures are listed on the terminal
log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
Row = dict[str, Any]


def prepare(
    records: Iterable[Record],
    destination: Path,
    params: DatasetParams,
    workers: int = 0,
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Pack `records` into the folder `destination`, which appears whole or not at all.

    Unusable pictures are left out and listed in rejected.json. What was left out, here or before (`left_out`), is
    logged and stands in the summary, by reason and class. `workers` threads decode (0: one per processor); the
    result does not depend on their number. Raises UserError when there are more unusable pictures than
    `params.bad_images`, when an id occurs twice, or when nothing is left.
    """
    with atomic_folder(destination) as folder:
        rows, rejected, modes, masks = _pack(records, folder, params, workers or processors())
        _check_budget(rejected, len(rows), params.bad_images)
        absent = [] if masks is None else labels_without_pixel(*masks)
        manifest = pd.DataFrame(_labelled(rows))
        clipped = int(manifest.pop("box_clipped").sum())
        write_manifest(manifest, folder / MANIFEST)
        write_json(folder / "rejected.json", rejected)
        summary = summarise(manifest, len(rejected), clipped, modes)
        told = _accounted(manifest, [*left_out, *absent, *map(_left_out, rejected)])
        write_json(folder / "summary.json", {**summary, **told})


def _accounted(manifest: pd.DataFrame, left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Log what was left out and which names of classes look alike; return it for the summary: nothing without any."""
    names = {*manifest["class_name"].dropna(), *manifest["labels"].explode().dropna()}
    accounts, lost, similar = accounts_of(left_out), lost_classes(left_out, names), alike(names)
    say(len(manifest), accounts, lost)
    for group in similar:
        log.warning("%s are %d classes; if they are one, write the name in one way", few(group), len(group))
    told = {"left_out": [one.as_json() for one in accounts], "lost_classes": list(lost)} if accounts else {}
    return {**told, **({"names_alike": similar} if similar else {})}


def _left_out(rejected: Row) -> LeftOut:
    ending = Path(rejected["path"]).suffix.lower()
    labels = tuple(rejected["labels"])
    return LeftOut(rejected["path"], rejected["reason"], rejected["class_name"], ending, labels=labels)


def summarise(manifest: pd.DataFrame, rejected: int, clipped: int, modes: Counter[str]) -> dict[str, Any]:
    """Count what a manifest holds, and name the groups of pictures that are equal pixel for pixel."""
    copies = manifest.groupby("sha256")["id"].agg(list)
    classes = manifest["class_name"].value_counts()
    if not len(classes):
        classes = manifest["labels"].explode().dropna().value_counts()
    return {
        "pictures": len(manifest),
        "rejected": rejected,
        "classes": len(classes),
        "pictures_per_class": {"least": int(classes.min()), "most": int(classes.max())}
        if len(classes)
        else {},
        "groups": int(manifest["group"].nunique()),
        "captions": int(manifest["captions"].map(len).sum()),
        "pictures_with_captions": int((manifest["captions"].map(len) > 0).sum()),
        "boxes": int(manifest["box"].notna().sum()),
        "boxes_clipped": clipped,
        "masks": int((manifest["mask_row"] >= 0).sum()),
        "modes": dict(modes),
        "source_split": {str(k): int(n) for k, n in manifest["split"].value_counts().items()},
        "duplicates": sorted(sorted(ids) for ids in copies if len(ids) > 1),
    }


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Apply `function` in `workers` threads; yield in order, with few items in memory at a time."""
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pack(
    records: Iterable[Record], folder: Path, params: DatasetParams, workers: int
) -> tuple[list[Row], list[Row], Counter[str], tuple[MaskLabels, set[int]] | None]:
    """Write the store; return the manifest's rows, the rejected pictures, and how often each mode occurred.

    For pictures with masks it also returns what their values mean, and the values that there are.
    """
    rows: list[Row] = []
    rejected: list[Row] = []
    modes: Counter[str] = Counter()
    labels: MaskLabels | None = None
    values: set[int] = set()
    with StoreWriter(folder, params.encoding) as writer, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # remarks on odd files that nevertheless decode

        def work(record: Record) -> tuple[Record, Picture | BadImageError]:
            return record, process(record, params, writer.mask_encoding)

        total = operator.length_hint(records) or None
        results = ordered_map(work, _unique(records), workers)
        for record, result in progress(results, total=total, desc="prepare", unit="picture"):
            if isinstance(result, BadImageError):
                rejected.append(_rejected(record, result))
            else:
                rows.append(_row(record, result, writer))
                modes[result.mode] += 1
                labels = labels or record.mask_labels
                values |= result.mask_values
        if labels is not None:
            write_json(folder / MASK_NAMES, labels.names)
    return rows, rejected, modes, None if labels is None else (labels, values)


def _rejected(record: Record, error: BadImageError) -> Row:
    return {
        "id": record.id,
        "path": _path(record),
        "reason": str(error),
        "class_name": record.class_name or None,
        "labels": list(record.labels),
    }


def _unique(records: Iterable[Record]) -> Iterator[Record]:
    seen: set[str] = set()
    for record in records:
        require_utf8(record.id, "the source")
        names = (record.class_name or "", record.group or "", *record.labels)
        require_one_line(names, f"the picture {record.id!a}")
        if record.id in seen:
            raise UserError(f"the source names the picture '{record.id}' twice; every id must occur once")
        seen.add(record.id)
        yield record


def _row(record: Record, picture: Picture, writer: StoreWriter) -> Row:
    return {
        "id": record.id,
        "row": writer.add_encoded(picture.image),
        "class_name": record.class_name or None,
        "group": record.group,
        "split": record.split,
        "labels": list(record.labels),
        "captions": list(record.captions),
        "box": None if picture.box is None else list(picture.box),
        "mask_row": -1 if picture.mask is None else writer.add_encoded_mask(picture.mask),
        "attributes": json.dumps(dict(record.attributes), sort_keys=True),
        "width": picture.width,
        "height": picture.height,
        "sha256": picture.sha256,
        "box_clipped": picture.box_clipped,
    }


def _labelled(rows: list[Row]) -> list[Row]:
    """Add `label`: the index of the class in the sorted class names, -1 without a class."""
    names = sorted({row["class_name"] for row in rows} - {None})
    index: defaultdict[str | None, int] = defaultdict(lambda: -1, {name: i for i, name in enumerate(names)})
    return [{**row, "label": index[row["class_name"]]} for row in rows]


def _check_budget(rejected: list[Row], good: int, budget: int) -> None:
    """List the unusable pictures; raise UserError for more of them than the budget and for no usable picture."""
    for row in rejected[:SHOWN]:
        log.warning("unusable picture: %s: %s", row["path"], row["reason"])
    if len(rejected) > SHOWN:
        log.warning("... and %d more", len(rejected) - SHOWN)
    if len(rejected) > budget:
        few = "; ".join(f"{row['path']}: {row['reason']}" for row in rejected[:3])
        raise UserError(
            f"{len(rejected)} of {good + len(rejected)} pictures cannot be used and bad_images allows "
            f"{budget}: {few}{'; ...' if len(rejected) > 3 else ''}; mend or remove them, or raise bad_images"
        )
    if not good:
        raise UserError("the source yields no usable picture")


def _path(record: Record) -> str:
    return str(record.image) if isinstance(record.image, Path) else record.id
