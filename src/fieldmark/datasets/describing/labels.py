"""An overview of pictures with several labels: a sheet, which labels occur together, and how hard the set is."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as Canvas

from fieldmark.datasets.describing.contact import labelled_sheet
from fieldmark.datasets.describing.difficulty import colour_histograms, neighbour_votes, pixel_features
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.multilabel import multilabel_map
from fieldmark.figures.charts import chart
from fieldmark.figures.style import canvas
from fieldmark.results.figures import FigureFolder

SHOWN = 40  # classes in the chart of co-occurrence, the most frequent ones
MAX_PICTURES = 1000  # whose neighbours are looked for


def draw_label_overview(pictures: Sequence[Specimen], figures: FigureFolder) -> dict[str, float]:
    """Draw the sheet and the chart of co-occurrence; return the difficulty.

    The difficulty is the mAP of the labels of the ten nearest other pictures, by raw pixels and by colours,
    and the mAP of chance.
    """
    names = sorted({name for specimen in pictures for name in specimen.labels})
    targets = np.array(
        [[name in specimen.labels for name in names] for specimen in pictures], dtype=np.float32
    )
    difficulty = measure_label_difficulty(pictures, targets)
    path = figures.new("contact.webp", "Contact sheet", _caption(difficulty), wide=True)
    labelled_sheet(pictures).save(path, "WEBP", quality=60, method=6)
    path = figures.new("co-occurrence.svg", "What meets in one picture", _meeting(names), wide=True)
    co_occurrence_chart(path, names, targets)
    return difficulty


def measure_label_difficulty(pictures: Sequence[Specimen], targets: Array) -> dict[str, float]:
    """Return the mAP of nearest neighbours by pixels and by colours, and of chance.

    Of more than 1000 pictures, 1000 evenly spaced ones are taken.
    """
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), MAX_PICTURES)).astype(int)
    some, truth = [pictures[index].picture for index in chosen], targets[chosen]
    pixels = neighbour_votes(pixel_features(some), truth)
    colours = neighbour_votes(colour_histograms(some), truth, metric="intersection")
    return {
        "pixels_map": multilabel_map(pixels, truth)["map"],
        "colours_map": multilabel_map(colours, truth)["map"],
        "chance_map": float(truth.mean(axis=0)[truth.any(axis=0)].mean()),
    }


@chart
def co_occurrence_chart(names: Sequence[str], targets: Array) -> Canvas:
    """Draw which fraction of the pictures of a class (row) holds another class (column); targets are (N, C).

    Classes are in the order of their frequency, the most frequent first.
    """
    counts = targets.sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:SHOWN]
    order = order[counts[order] > 0]
    fraction = (targets.T @ targets / np.maximum(counts, 1)[:, None])[np.ix_(order, order)]
    np.fill_diagonal(fraction, np.nan)
    side = max(3.4, 1.6 + 0.2 * len(order))
    figure = canvas(side + 0.8, side)
    axes = figure.subplots()
    drawn = axes.pcolormesh(
        fraction, cmap="Blues", vmin=0.0, vmax=max(0.1, float(np.nanmax(fraction, initial=0.0)))
    )
    shown = [names[index] for index in order]
    axes.set_xticks(np.arange(len(order)) + 0.5, shown, rotation=90, fontsize=8)
    axes.set_yticks(np.arange(len(order)) + 0.5, shown, fontsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False)
    figure.colorbar(drawn, ax=axes, label="fraction of the row's pictures", shrink=0.7)
    return figure


def _caption(difficulty: dict[str, float]) -> str:
    pixels, colours, chance = (
        f"{100 * difficulty[name]:.1f} %" for name in ("pixels_map", "colours_map", "chance_map")
    )
    return (
        f"The labels of the ten nearest pictures reach a mAP of {pixels} by raw pixels and of {colours} by colour "
        f"histogram (chance: {chance})."
    )


def _meeting(names: Sequence[str]) -> str:
    cut = f", the {SHOWN} most frequent of {len(names)}" if len(names) > SHOWN else ""
    return f"Classes from the most to the least frequent{cut}; dark where the class of the column is often there too."
