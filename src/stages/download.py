"""Download a data set, or render the default world, into data/raw/<name>."""

from pathlib import Path

from _stage import run

from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire.schema import DatasetParams


def main(name: str, configuration: Configuration) -> None:
    configuration.item("datasets", name, DatasetParams).open_source().fetch(Path("data/raw") / name)


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set: a key of `datasets` in params.yaml")
