"""Charts: each function draws numbers into an SVG file. A variant has the same colour, dash and marker everywhere."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.confusions import ClassRecall
from fieldmark.evaluation.geometry import SimilarityHistograms, components_for
from fieldmark.figures.style import COLOURS, DASHES, INK, MARKERS, MUTED, RC, canvas, legend_above, save

P = ParamSpec("P")
Curve = tuple[Sequence[float], Sequence[float]]
SHOWN_CLASSES = 40  # in a chart with a row per class


def chart(draw: Callable[P, Canvas]) -> Callable[Concatenate[Path, P], None]:
    """Turn a function that draws a figure into one that writes it to a path, its first argument."""

    @wraps(draw)
    def written(path: Path, *args: P.args, **kwargs: P.kwargs) -> None:
        with mpl.rc_context(RC):
            save(draw(*args, **kwargs), path)

    return cast(Callable[Concatenate[Path, P], None], written)


@chart
def energy_curves(energies: Mapping[str, Array], fraction: float = 0.9) -> Canvas:
    """Draw the cumulative energy (D,) of each variant over the number of components, on a log2 axis."""
    figure = canvas()
    axes = figure.subplots()
    axes.axhline(fraction, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    for index, (name, energy) in enumerate(energies.items()):
        needed = components_for(energy, fraction)
        label = f"{name}: {needed} for {fraction:.0%}"
        axes.plot(np.arange(1, len(energy) + 1), energy, label=label, **_line(index))
        marker = MARKERS[index % len(MARKERS)]
        axes.plot([needed], [energy[needed - 1]], marker=marker, color=_colour(index), markersize=7)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.set(xlabel="principal components", ylabel="cumulative energy", ylim=(None, 1.02))
    _percent(axes)
    axes.legend(loc="lower right")
    return figure


@chart
def similarity_panels(histograms: Mapping[str, SimilarityHistograms]) -> Canvas:
    """Draw the similarities of positive and of negative pairs, one panel per variant on a common axis."""
    figure = canvas(5.2, 0.95 + 1.2 * len(histograms))
    panels = figure.subplots(len(histograms), sharex=True, squeeze=False)[:, 0]
    for axes, (name, histogram) in zip(panels, histograms.items(), strict=True):
        width = np.diff(histogram.edges)
        for counts, colour, label in (
            (histogram.negative, COLOURS[2], "negative"),
            (histogram.positive, COLOURS[1], "positive"),
        ):
            density = counts / max(counts.sum(), 1) / width
            axes.stairs(density, histogram.edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(density, histogram.edges, color=colour, linewidth=1.4, label=f"{label} pairs")
        axes.set_title(f"{name} · overlap {histogram.overlap:.0%}")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
    used = [np.flatnonzero(histogram.positive + histogram.negative) for histogram in histograms.values()]
    first = min((bins.min() for bins in used if bins.size), default=0)
    edges = next(iter(histograms.values())).edges
    panels[-1].set(xlabel="cosine similarity", xlim=(edges[first], 1.0))
    legend_above(figure)
    return figure


@chart
def loss_curves(losses: Mapping[str, Mapping[str, Curve]], order: Sequence[str] = ()) -> Canvas:
    """Draw one panel per loss with one line per variant: `losses` is loss -> variant -> (steps, values).

    A curve is drawn twice, faint as it is and bold when smoothed. `order` names the variants in the order of the other
    charts, trained or not, so that colours agree.
    """
    figure = canvas(5.2, 0.9 + 1.45 * len(losses))
    panels = figure.subplots(len(losses), sharex=True, squeeze=False)[:, 0]
    known = list(dict.fromkeys([*order, *(name for curves in losses.values() for name in curves)]))
    for axes, (loss, curves) in zip(panels, losses.items(), strict=True):
        for name, (steps, values) in curves.items():
            line = _line(known.index(name)) | {"linestyle": "-"}
            axes.plot(steps, values, **(line | {"alpha": 0.25, "linewidth": 0.8}))
            axes.plot(steps, _smoothed(np.asarray(values, dtype=float)), label=name, **line)
        axes.set_title(loss)
    panels[-1].set_xlabel("step")
    legend_above(figure, known)
    return figure


@chart
def interval_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[Interval]]], along: str, measure: str
) -> Canvas:
    """Draw a fraction over the numbers that `along` names, one line per variant, with the intervals of its points."""
    figure = canvas()
    axes = figure.subplots()
    for index, (name, (numbers, intervals)) in enumerate(curves.items()):
        heights, errors = _with_errors(intervals)
        marker = MARKERS[index % len(MARKERS)]
        axes.errorbar(numbers, heights, yerr=errors, label=name, marker=marker, capsize=3, **_line(index))
    axes.set(xlabel=along, ylabel=measure)
    _percent(axes)
    legend_above(figure)
    return figure


@chart
def measure_bars(variants: Mapping[str, Mapping[str, Interval]], measures: Sequence[str]) -> Canvas:
    """Draw grouped bars of the measures (fractions) of each variant, with their intervals and values."""
    figure = canvas(max(5.2, 0.3 * len(measures) * len(variants)), 3.2)
    axes = figure.subplots()
    width = 0.8 / len(variants)
    for index, (name, by_measure) in enumerate(variants.items()):
        shown = [by_measure[measure] for measure in measures]
        heights, errors = _with_errors(shown)
        positions = np.arange(len(measures)) + (index - (len(variants) - 1) / 2) * width
        style: Any = {"ecolor": INK, "error_kw": {"linewidth": 1.1, "capsize": 2}}
        axes.bar(positions, heights, width * 0.9, yerr=errors, label=name, color=_colour(index), **style)
        for position, interval in zip(positions, shown, strict=True):
            text, top = f"{100 * interval.value:.0f}", (position, interval.high)
            axes.annotate(text, top, (0, 3), textcoords="offset points", ha="center", fontsize=7.5)
    axes.set_xticks(range(len(measures)), list(measures))
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    _percent(axes)
    legend_above(figure)
    return figure


@chart
def class_recall_bars(variants: Mapping[str, ClassRecall], names: Mapping[Any, str] | None = None) -> Canvas:
    """Draw recall@1 per class: the last variant as bars, its worst class on top, the other variants as markers.

    `names` gives the name of a label. Of more than 40 classes only the worst are drawn.
    """
    *others, (main_name, main) = variants.items()
    shown = min(len(main.labels), SHOWN_CLASSES)
    labels = main.labels[:shown].tolist()
    figure = canvas(5.2, 1.0 + 0.19 * max(shown, 4))
    axes = figure.subplots()
    rows = np.arange(shown)
    axes.barh(rows, main.recall[:shown], 0.66, color=_colour(len(others)), alpha=0.5, label=main_name)
    for index, (name, per_class) in enumerate(others):
        recall = dict(zip(per_class.labels.tolist(), per_class.recall.tolist(), strict=True))
        marks: dict[str, Any] = {
            "linestyle": "none",
            "marker": MARKERS[index % len(MARKERS)],
            "markersize": 5,
            "markeredgecolor": "white",
        }
        values = [recall.get(label, np.nan) for label in labels]
        axes.plot(values, rows, color=_colour(index), label=name, **marks)
    axes.set_yticks(
        rows, [_shortened((names or {}).get(label, str(label))) for label in labels], fontsize=8.5
    )
    axes.set(xlim=(0, 1.02), ylim=(shown - 0.4, -0.6), xlabel="recall@1")
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_above(figure)
    return figure


def _with_errors(intervals: Sequence[Interval]) -> tuple[Array, Array]:
    """Return the values (n,) and how far the lower and the upper ends are from them, (2, n)."""
    values = np.array([interval.value for interval in intervals])
    ends = [[interval.value - interval.low, interval.high - interval.value] for interval in intervals]
    return values, np.abs(np.array(ends)).T


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _line(index: int) -> dict[str, Any]:
    return {"color": _colour(index), "linestyle": DASHES[index % len(DASHES)]}


def _percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _smoothed(values: Array) -> Array:
    """Return a centred running mean over a fortieth of the curve; near its ends, over the points that there are."""
    width = 2 * (len(values) // 80) + 1
    kernel = np.ones(width)
    smooth: Array = np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")
    return smooth


def _shortened(text: str, length: int = 34) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
