"""Decide which picture plays which role in a task, data/splits/<name>.parquet."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.base.blocks import pick
from fieldmark.datasets.data.manifest import read_manifest
from fieldmark.datasets.splitting.longtail import make_longtail
from fieldmark.datasets.splitting.splits import make_split, read_splits, write_split


def main(name: str, params: dict[str, Any]) -> None:
    """Make the split `name` of params.yaml."""
    split = pick(read_splits(params), name, "splits")
    manifest = read_manifest(Path("data/prepared") / split.dataset / "manifest.parquet")
    make = make_longtail if split.kind == "longtail" else make_split
    write_split(make(manifest, split), Path("data/splits") / f"{name}.parquet")


if __name__ == "__main__":
    run(main, __doc__ or "", "a split: a key of `splits` in params.yaml")
