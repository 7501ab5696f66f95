"""Draw a data set's contact sheet and measure how far one gets on it without a network."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.datasets.data.manifest import read_manifest
from fieldmark.datasets.data.store import ImageStore
from fieldmark.datasets.describing.overview import write_overview
from fieldmark.datasets.describing.specimens import specimens

MOST = 3000  # pictures looked at


def main(name: str, params: dict[str, Any]) -> None:
    data = Path("data/prepared") / name
    store, manifest = ImageStore.open(data), read_manifest(data / "manifest.parquet")
    with atomic_folder(Path("reports/figures/data") / name) as folder:
        difficulty = write_overview(list(specimens(store, manifest, MOST)), folder)
    write_json(Path(f"reports/difficulty/{name}.json"), difficulty)


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set of params.yaml, such as birds")
