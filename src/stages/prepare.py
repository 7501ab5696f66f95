"""Pack a downloaded data set into one image store and its manifest, data/prepared/<name>."""

from pathlib import Path

from _stage import run

from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.preparing.prepare import prepare


def main(name: str, configuration: Configuration) -> None:
    dataset = configuration.item("datasets", name, DatasetParams)
    source = dataset.open_source()
    records = source.records(Path("data/raw") / name)
    prepare(records, Path("data/prepared") / name, dataset, left_out=source.left_out())


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set: a key of `datasets` in params.yaml")
