"""Hold a prepared data set and its splits to what is expected of them, reports/validation/<name>.json."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.base.files import write_json
from fieldmark.datasets.acquire.schema import read_dataset
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.manifest import read_manifest
from fieldmark.datasets.splitting.splits import read_split, read_splits


def main(name: str, params: dict[str, Any]) -> None:
    """Validate the data set `name` of params.yaml; a critical failure stops the pipeline."""
    dataset = read_dataset(params, name)
    manifest = read_manifest(Path("data/prepared") / name / "manifest.parquet")
    of_dataset = {key: split for key, split in read_splits(params).items() if split.dataset == name}
    splits = {key: read_split(Path("data/splits") / f"{key}.parquet") for key in of_dataset}
    write_json(Path("reports/validation") / f"{name}.json", validate(manifest, dataset, splits, of_dataset))


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set: a key of `datasets` in params.yaml")
