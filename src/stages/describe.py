"""Draw the contact sheet of a data set, measure how well nearest neighbours do on it, and look for odd pictures."""

from pathlib import Path

import pandas as pd
from _stage import run

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.splits import SplitParams, read_split
from fieldmark.datasets.describing.audit import audit
from fieldmark.datasets.describing.lookalikes import draw_audit
from fieldmark.datasets.describing.overview import draw_overview
from fieldmark.datasets.describing.specimens import specimens
from fieldmark.results.figures import FigureFolder

MAX_PICTURES = 3000  # of which the difficulty is measured
HEADLINE = ("pixels_class", "colours_class", "pixels_map", "colours_map")


def main(name: str, configuration: Configuration) -> None:
    data = Path("data/prepared") / name
    store, manifest = ImageStore.open(data), read_manifest(data / "manifest.parquet")
    with atomic_folder(Path("reports/figures/data") / name) as folder:
        figures = FigureFolder(folder)
        difficulty = draw_overview(list(specimens(store, manifest, MAX_PICTURES)), figures)
        facts, looks = audit(store, manifest, splits_of(name, configuration))
        draw_audit(store, manifest, facts, looks, figures)
        figures.write_index()
    write_json(Path(f"reports/results/audit/{name}.json"), facts)
    write_json(Path(f"reports/results/difficulty/{name}.json"), difficulty)
    headline = {measure: value for measure, value in difficulty.items() if measure in HEADLINE}
    write_json(Path(f"reports/metrics/difficulty/{name}.json"), headline)


def splits_of(name: str, configuration: Configuration) -> dict[str, pd.DataFrame]:
    """Read the splits of a data set, by name."""
    keys = configuration.section("splits")
    own = [key for key in keys if configuration.item("splits", key, SplitParams).dataset == name]
    return {key: read_split(Path("data/splits") / f"{key}.parquet") for key in own}


if __name__ == "__main__":
    run(main, __doc__ or "", "a data set of params.yaml, such as birds")
