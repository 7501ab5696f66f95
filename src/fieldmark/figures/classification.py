"""Charts of classifiers: reliability, and accuracy over a whole number."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.classification import Reliability
from fieldmark.figures.charts import chart
from fieldmark.figures.style import COLOURS, INK, MUTED, canvas

PANEL = 2.3  # inches


@chart
def reliability_panels(variants: Mapping[str, Reliability]) -> Canvas:
    """Draw accuracy over confidence, one panel per variant; a bar is the darker the more pictures it stands for."""
    figure = canvas(max(5.2, PANEL * len(variants)), 2.9)
    panels = figure.subplots(1, len(variants), sharey=True, squeeze=False)[0]
    for index, (axes, (name, bins)) in enumerate(zip(panels, variants.items(), strict=True)):
        fraction = bins.counts / max(bins.counts.max(), 1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        for left, right, height, shade in zip(
            bins.edges[:-1], bins.edges[1:], np.nan_to_num(bins.accuracy), fraction, strict=True
        ):
            axes.bar(
                left, height, right - left, align="edge", color=_colour(index), alpha=0.15 + 0.75 * shade
            )
        axes.set_title(f"{name} · error {bins.error:.0%}")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0].set_ylabel("accuracy")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


@chart
def accuracy_over(intervals: Mapping[int, Interval], levels: Mapping[str, float], label: str) -> Canvas:
    """Draw accuracy with its interval over a whole number, which `label` names.

    `levels` are the accuracies of other models by name; they are drawn as horizontal lines.
    """
    figure = canvas()
    axes = figure.subplots()
    numbers = sorted(intervals)
    values = np.array([intervals[number].value for number in numbers])
    lows = np.array([intervals[number].low for number in numbers])
    highs = np.array([intervals[number].high for number in numbers])
    style: dict[str, Any] = {"capsize": 3, "linewidth": 2, "ecolor": INK, "elinewidth": 1.1}
    axes.errorbar(numbers, values, (values - lows, highs - values), marker="o", color=COLOURS[1], **style)
    for index, (name, value) in enumerate(levels.items()):
        axes.axhline(value, color=_colour(index), linewidth=1.2, linestyle="--", label=name)
    axes.set_xticks(numbers)
    axes.set(xlabel=label, ylabel="top-1 accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if levels:
        axes.legend(loc="best")
    return figure


def _colour(index: int) -> str:
    """Return the colours in turn, without the blue of the curve."""
    others = [colour for number, colour in enumerate(COLOURS) if number != 1]
    return others[index % len(others)]
