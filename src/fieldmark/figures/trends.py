"""Measures over a setting: one panel per measure, one line per kind of model, with intervals."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.figures.charts import chart
from fieldmark.figures.style import COLOURS, DASHES, MARKERS, canvas, legend_above

Point = tuple[float, Interval]  # the setting, and what was measured there


@chart
def trend_panels(
    panels: Mapping[str, Mapping[str, Sequence[Point]]], setting: str, *, percent: bool = True
) -> Canvas:
    """Draw fractions, or other numbers without `percent`, over a setting: `panels` is title -> line -> points.

    Lines of the same name look the same in all panels.
    """
    figure = canvas(max(5.2, 4.2 * len(panels)), 3.2)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axes, (title, lines) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for name, points in lines.items():
            index = names.index(name) + 1  # the first colour is the baseline's
            intervals = [interval for _, interval in points]
            spread = [
                [interval.value - interval.low for interval in intervals],
                [interval.high - interval.value for interval in intervals],
            ]
            axes.errorbar(
                [at for at, _ in points],
                [interval.value for interval in intervals],
                yerr=spread,
                label=name,
                color=COLOURS[index % len(COLOURS)],
                linestyle=DASHES[index % len(DASHES)],
                marker=MARKERS[index % len(MARKERS)],
                capsize=2,
            )
        axes.set_title(title)
        axes.set_xlabel(setting)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_above(figure, names)
    return figure
