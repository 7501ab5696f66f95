"""Draw a data set's contact sheet and measure how far one gets on it without a network."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.datasets.manifest import read_manifest
from fieldmark.datasets.specimens import specimens
from fieldmark.datasets.store import ImageStore
from fieldmark.files import atomic_folder, write_json
from fieldmark.reporting.overview import write_overview

MOST = 3000  # pictures looked at


def main(name: str, params: dict[str, Any]) -> None:
    data = Path("data/prepared") / name
    store, manifest = ImageStore.open(data), read_manifest(data / "manifest.parquet")
    with atomic_folder(Path("reports/figures/data") / name) as folder:
        difficulty = write_overview(list(specimens(store, manifest, MOST)), folder)
    write_json(Path(f"reports/difficulty/{name}.json"), difficulty)


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set of params.yaml, such as birds")
