"""Download a data set, or render the default world, into data/raw/<name>."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.datasets.acquire.schema import read_dataset


def main(name: str, params: dict[str, Any]) -> None:
    """Fetch the data set `name` of params.yaml."""
    read_dataset(params, name).open_source().fetch(Path("data/raw") / name)


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set: a key of `datasets` in params.yaml")
