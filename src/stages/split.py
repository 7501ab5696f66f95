"""Decide which picture plays which role in a task, data/splits/<name>.parquet."""

from pathlib import Path

from _stage import run

from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.roles.splits import SplitParams, write_split
from fieldmark.datasets.splitting.landmarks import make_landmarks
from fieldmark.datasets.splitting.longtail import make_longtail
from fieldmark.datasets.splitting.splits import make_split


def main(name: str, configuration: Configuration) -> None:
    split = configuration.item("splits", name, SplitParams)
    configuration.require("datasets", split.dataset, f"splits.{name}.dataset")
    manifest = read_manifest(Path("data/prepared") / split.dataset / "manifest.parquet")
    make = {"longtail": make_longtail, "landmarks": make_landmarks}.get(split.kind, make_split)
    write_split(make(manifest, split), Path("data/splits") / f"{name}.parquet")


if __name__ == "__main__":
    run(main, __doc__ or "", "a split: a key of `splits` in params.yaml")
