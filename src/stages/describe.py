"""Draw the contact sheet of a data set and measure how well nearest neighbours do on it without a network."""

from pathlib import Path

from _stage import run

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.describing.overview import draw_overview
from fieldmark.datasets.describing.specimens import specimens
from fieldmark.results.figures import FigureFolder

MAX_PICTURES = 3000  # how many pictures are looked at
HEADLINE = ("pixels_class", "colours_class", "pixels_map", "colours_map")


def main(name: str, configuration: Configuration) -> None:
    data = Path("data/prepared") / name
    store, manifest = ImageStore.open(data), read_manifest(data / "manifest.parquet")
    with atomic_folder(Path("reports/figures/data") / name) as folder:
        figures = FigureFolder(folder)
        difficulty = draw_overview(list(specimens(store, manifest, MAX_PICTURES)), figures)
        figures.write_index()
    write_json(Path(f"reports/results/difficulty/{name}.json"), difficulty)
    headline = {measure: value for measure, value in difficulty.items() if measure in HEADLINE}
    write_json(Path(f"reports/metrics/difficulty/{name}.json"), headline)


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set of params.yaml, such as birds")
