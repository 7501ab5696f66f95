"""Check that a prepared data set and its splits are as expected, reports/validation/<name>.json."""

from pathlib import Path

from _stage import run

from fieldmark.base.files import write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.roles.splits import SplitParams, read_split


def main(name: str, configuration: Configuration) -> None:
    """Validate the data set `name` of params.yaml; a critical failure stops the pipeline."""
    dataset = configuration.item("datasets", name, DatasetParams)
    manifest = read_manifest(Path("data/prepared") / name / "manifest.parquet")
    every = {key: configuration.item("splits", key, SplitParams) for key in configuration.section("splits")}
    params = {key: split for key, split in every.items() if split.dataset == name}
    splits = {key: read_split(Path("data/splits") / f"{key}.parquet") for key in params}
    write_json(Path("reports/validation") / f"{name}.json", validate(manifest, dataset, splits, params))


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set: a key of `datasets` in params.yaml")
