"""Charts of classifiers: reliability, and accuracy over a number."""

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
def reliability_panels(found: Mapping[str, Reliability]) -> Canvas:
    """Draw accuracy over confidence, one panel a variant; the bars' shade grows with their pictures."""
    figure = canvas(max(5.2, PANEL * len(found)), 2.9)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for index, (axes, (name, one)) in enumerate(zip(panels, found.items(), strict=True)):
        share = one.counts / max(one.counts.max(), 1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        for left, right, height, shade in zip(
            one.edges[:-1], one.edges[1:], np.nan_to_num(one.accuracy), share, strict=True
        ):
            axes.bar(
                left, height, right - left, align="edge", color=_colour(index), alpha=0.15 + 0.75 * shade
            )
        axes.set_title(f"{name} · error {one.error:.0%}")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0].set_ylabel("accuracy")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


@chart
def accuracy_over(found: Mapping[int, Interval], levels: Mapping[str, float], label: str) -> Canvas:
    """Draw accuracy with its interval over a whole number, and other models' accuracy as level lines."""
    figure = canvas()
    axes = figure.subplots()
    numbers = sorted(found)
    values = np.array([found[number].value for number in numbers])
    lows = np.array([found[number].low for number in numbers])
    highs = np.array([found[number].high for number in numbers])
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
    """Skip the blue of the curve."""
    others = [colour for place, colour in enumerate(COLOURS) if place != 1]
    return others[index % len(others)]
