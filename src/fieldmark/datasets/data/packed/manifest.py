"""The manifest of a prepared data set: one row per usable picture, in the order of the image store."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path

COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # index in the image store
        pa.field("class_name", pa.string()),
        pa.field("label", pa.int64(), nullable=False),  # index in the sorted class names, -1 without a class
        pa.field("group", pa.string()),
        pa.field("split", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("captions", pa.list_(pa.string())),
        pa.field("box", pa.list_(pa.float64())),  # x, y, width, height in pixels of the stored picture
        pa.field("mask_row", pa.int64(), nullable=False),  # index among the masks of the store, -1 if none
        pa.field("attributes", pa.string(), nullable=False),  # a JSON object with sorted keys
        pa.field("width", pa.int64(), nullable=False),  # of the original picture, after EXIF rotation
        pa.field("height", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),  # of the decoded pixels: the content hash
    ]
)
KINDS = ("easy", "hard", "junk")  # attributes that list what a query of a landmark benchmark should find
POSITIVES = "positives"  # the one that lists what shows the same as a picture, for training
_LISTS = ("labels", "captions", "box")


def write_manifest(manifest: pd.DataFrame, path: Path) -> None:
    """Write the manifest atomically; the same rows give the same bytes. Wrong types raise pa.ArrowInvalid."""
    write_table(manifest, COLUMNS, path)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest; lists come back as Python lists (None where null). Raises UserError when absent."""
    table = read_table(path, COLUMNS, "run `prepare` first")
    frame: pd.DataFrame = table.drop_columns(list(_LISTS)).to_pandas()
    for name in _LISTS:
        frame[name] = pd.Series(table[name].to_pylist(), dtype=object)
    return frame[list(COLUMNS.names)]


def listed(manifest: pd.DataFrame, attribute: str) -> dict[str, list[str]]:
    """Return, by id, the ids of other pictures that an attribute lists, parted by blanks.

    Pictures without the attribute are left out.
    """
    pairs = zip(manifest["id"], map(json.loads, manifest["attributes"]), strict=True)
    return {key: attributes[attribute].split() for key, attributes in pairs if attribute in attributes}


def write_table(frame: pd.DataFrame, schema: pa.Schema, path: Path) -> None:
    """Write `frame` as Parquet with exactly `schema`, atomically and without the index."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_table(path: Path, schema: pa.Schema, remedy: str) -> pa.Table:
    """Read a Parquet file that must have `schema`. Raises UserError naming `remedy` when it cannot."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; {remedy}")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError):
        raise UserError(f"{path} is damaged; delete it and {remedy}") from None
    if not table.schema.equals(schema, check_metadata=False):
        raise UserError(f"{path} has other columns than this version writes; delete it and {remedy}")
    return table
