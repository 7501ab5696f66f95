"""A chart of what the prompts of categories become."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure as Canvas

from fieldmark.evaluation.arrays import Array
from fieldmark.figures.charts import chart
from fieldmark.figures.multilabel import MAX_NAMES
from fieldmark.figures.style import COLOURS, MARKERS, canvas, legend_above


@chart
def similarity_matrices(panels: Mapping[str, Array], names: Sequence[str]) -> Canvas:
    """Draw cosine similarities (C, C) side by side on one scale."""
    figure = canvas(1.4 + 3.3 * len(panels), 4.0)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    ticks = range(len(names)) if len(names) <= MAX_NAMES else []
    for panel, (title, similarity) in zip(axes, panels.items(), strict=True):
        drawn = panel.imshow(similarity, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        panel.set_title(f"{title} · mean {_off_diagonal(similarity):.2f}")
        panel.set_xticks(ticks, [names[i] for i in ticks], rotation=90, fontsize=6.5)
        panel.set_yticks(ticks, [names[i] for i in ticks], fontsize=6.5)
        panel.grid(visible=False)
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="cosine similarity")
    return figure


@chart
def prompt_course(steps: Sequence[float], panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Canvas:
    """Draw cosines over the steps of a training: a panel for each title, in it a line for each name."""
    figure = canvas(6.4, 0.9 + 1.6 * len(panels))
    drawn = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axes, (title, lines) in zip(drawn, panels.items(), strict=True):
        for name, values in lines.items():
            number = names.index(name)
            marker, colour = MARKERS[number % len(MARKERS)], COLOURS[number % len(COLOURS)]
            axes.plot(steps, values, label=name, marker=marker, color=colour)
        axes.set(title=title, ylabel="cosine")
    drawn[-1].set_xlabel("steps")
    legend_above(figure, names)
    return figure


def _off_diagonal(similarity: Array) -> float:
    """Return the mean of a matrix (C, C) without its diagonal."""
    count = len(similarity)
    return float((similarity.sum() - np.trace(similarity)) / max(1, count * (count - 1)))
