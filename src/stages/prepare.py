"""Pack a downloaded data set into one image store and its manifest, data/prepared/<name>."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.datasets.acquire.schema import read_dataset
from fieldmark.datasets.preparing.prepare import prepare


def main(name: str, params: dict[str, Any]) -> None:
    """Prepare the data set `name` of params.yaml."""
    dataset = read_dataset(params, name)
    records = dataset.open_source().records(Path("data/raw") / name)
    prepare(records, Path("data/prepared") / name, dataset)


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set: a key of `datasets` in params.yaml")
