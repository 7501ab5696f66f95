"""Running a source: what it yields, what it refuses, and its way to a validated data set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.acquire.source import Source
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.splitting.splits import make_split


def fetched(source: Source, raw: Path) -> list[Record]:
    """What the source yields of what it fetches into `raw`."""
    source.fetch(raw)
    return list(source.records(raw))


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Expect a UserError of one line that matches `message`."""
    with pytest.raises(UserError, match=message) as caught:
        yield
    assert "\n" not in str(caught.value)


def validated(
    folder: Path, params: DatasetParams, kinds: Mapping[str, SplitParams]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Fetch into `folder`/raw, prepare in `folder`/out, split, and validate without a failure."""
    prepare(fetched(params.open_source(), folder / "raw" / "d"), folder / "out", params)
    manifest = read_manifest(folder / "out" / "manifest.parquet")
    splits = {name: make_split(manifest, kind) for name, kind in kinds.items()}
    report = validate(manifest, params, splits, kinds)
    assert all(outcome["success"] for outcome in report["expectations"])
    return manifest, splits
