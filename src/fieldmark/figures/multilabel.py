"""Charts of pictures with several labels: average precision by frequency, and the highest scores."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from fieldmark.evaluation.arrays import Array
from fieldmark.figures.charts import chart
from fieldmark.figures.style import COLOURS, FAINT_RIGHT, GRID, INK, MARKERS, MUTED, canvas, legend_above

MAX_NAMES = 50  # with more categories, their names are left out
SHOWN = 5  # how many of the highest scores of a picture are shown


@chart
def ap_by_frequency(
    variants: Mapping[str, Array], counts: Array, names: Sequence[str], edges: Sequence[int] = ()
) -> Canvas:
    """Draw the average precisions (C,) of each variant, and below them the training pictures (C,), in the order given.

    `edges` are the indices of the categories with which a new group begins.
    """
    figure = canvas(max(5.2, 0.24 * min(len(names), 3 * MAX_NAMES)), 4.6)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    columns = np.arange(len(names))
    for index, (name, ap) in enumerate(variants.items()):
        style: dict[str, Any] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)],
        }
        above.plot(columns, ap, linestyle="none", markersize=5.5, alpha=0.85, label=name, **style)
    below.bar(columns, counts, 0.72, color=MUTED)
    for axes in (above, below):
        for edge in edges:
            axes.axvline(edge - 0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 3)))
        axes.grid(axis="x", visible=False)
    above.set(ylabel="average precision", ylim=(-0.02, 1.02))
    below.set(ylabel="training\npictures", yscale="log", xlim=(-0.7, len(names) - 0.3))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    below.yaxis.set_minor_formatter(NullFormatter())
    if len(names) <= MAX_NAMES:
        below.set_xticks(columns, list(names), rotation=90, fontsize=8)
    legend_above(figure)
    return figure


@dataclass(frozen=True)
class Shown:
    """A picture (H, W, 3) with its categories present, and each variant's scores (C,)."""

    picture: Array
    present: Array  # (C,) of 0 and 1
    scores: Mapping[str, Array]


@chart
def top_scores(pictures: Sequence[Shown], names: Sequence[str], cosines: Collection[str] = ()) -> Canvas:
    """Draw each picture and beside it the highest scores of every variant, green for categories that are present.

    Scores are probabilities, but for the variants named in `cosines`, whose bars end at their highest score.
    """
    variants = list(pictures[0].scores)
    highest = {name: max(shown.scores[name].max() for shown in pictures) for name in cosines}
    figure = canvas(1.5 + 2.5 * len(variants), 1.35 * len(pictures))
    ratios = (1, *[1.1] * len(variants))
    grid = figure.subplots(len(pictures), 1 + len(variants), squeeze=False, width_ratios=ratios)
    for row, shown in zip(grid, pictures, strict=True):
        row[0].imshow(shown.picture)
        row[0].axis("off")
        for axes, name in zip(row[1:], variants, strict=True):
            scores = shown.scores[name]
            best = np.argsort(-scores, kind="stable")[:SHOWN]
            colours = [FAINT_RIGHT if shown.present[category] else GRID for category in best]
            axes.barh(range(len(best)), scores[best], 0.8, color=colours)
            for bar, category in enumerate(best):
                text = f"{names[category]} {scores[category]:.2f}"
                axes.text(0.01, bar, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)
            axes.set(
                xlim=(0, max(highest.get(name, 1), 1e-3)), ylim=(len(best) - 0.5, -0.5), xticks=[], yticks=[]
            )
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
    for axes, name in zip(grid[0][1:], variants, strict=True):
        axes.set_title(name)
    return figure
