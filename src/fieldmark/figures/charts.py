"""Charts: numbers in, an SVG file out. Each variant keeps its colour, dash and marker in all of them."""

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
SHOWN_CLASSES = 40


def chart(draw: Callable[P, Canvas]) -> Callable[Concatenate[Path, P], None]:
    """Turn a function that draws a figure into one that writes it to a path, given first."""

    @wraps(draw)
    def written(path: Path, *args: P.args, **kwargs: P.kwargs) -> None:
        with mpl.rc_context(RC):
            save(draw(*args, **kwargs), path)

    return cast(Callable[Concatenate[Path, P], None], written)


@chart
def energy_curves(energies: Mapping[str, Array], share: float = 0.9) -> Canvas:
    """Draw the cumulative energy (D,) of each variant over the number of components, on a log2 axis."""
    figure = canvas()
    axes = figure.subplots()
    axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    for index, (name, energy) in enumerate(energies.items()):
        needed = components_for(energy, share)
        label = f"{name}: {needed} for {share:.0%}"
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
    """Draw the similarities of positive and of negative pairs, one panel a variant on a common axis."""
    figure = canvas(5.2, 0.95 + 1.2 * len(histograms))
    panels = figure.subplots(len(histograms), sharex=True, squeeze=False)[:, 0]
    for axes, (name, one) in zip(panels, histograms.items(), strict=True):
        width = np.diff(one.edges)
        for counts, colour, label in (
            (one.negative, COLOURS[2], "negative"),
            (one.positive, COLOURS[1], "positive"),
        ):
            density = counts / max(counts.sum(), 1) / width
            axes.stairs(density, one.edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(density, one.edges, color=colour, linewidth=1.4, label=f"{label} pairs")
        axes.set_title(f"{name} · overlap {one.overlap:.0%}")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
    used = [np.flatnonzero(one.positive + one.negative) for one in histograms.values()]
    first = min((bins.min() for bins in used if bins.size), default=0)
    edges = next(iter(histograms.values())).edges
    panels[-1].set(xlabel="cosine similarity", xlim=(edges[first], 1.0))
    legend_above(figure)
    return figure


@chart
def loss_curves(losses: Mapping[str, Mapping[str, Curve]], order: Sequence[str] = ()) -> Canvas:
    """Draw one panel a loss, one line a variant; a curve is (steps, values), faint raw and bold smoothed.

    `order` names the variants as the other charts have them, trained or not, so that colours agree.
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
    """Draw a share over what is named `along`, one line a variant, with the intervals of its points."""
    figure = canvas()
    axes = figure.subplots()
    for index, (name, (places, found)) in enumerate(curves.items()):
        heights = np.array([one.value for one in found])
        errors = np.abs(np.array([[one.value - one.low, one.high - one.value] for one in found])).T
        marker = MARKERS[index % len(MARKERS)]
        axes.errorbar(places, heights, yerr=errors, label=name, marker=marker, capsize=3, **_line(index))
    axes.set(xlabel=along, ylabel=measure)
    _percent(axes)
    legend_above(figure)
    return figure


@chart
def measure_bars(variants: Mapping[str, Mapping[str, Interval]], measures: Sequence[str]) -> Canvas:
    """Draw grouped bars of the measures (shares) of each variant, with their intervals and values."""
    figure = canvas(max(5.2, 0.3 * len(measures) * len(variants)), 3.2)
    axes = figure.subplots()
    width = 0.8 / len(variants)
    for index, (name, found) in enumerate(variants.items()):
        shown = [found[measure] for measure in measures]
        heights = np.array([one.value for one in shown])
        places = np.arange(len(measures)) + (index - (len(variants) - 1) / 2) * width
        errors = np.abs(np.array([[one.value - one.low, one.high - one.value] for one in shown])).T
        style: Any = {"ecolor": INK, "error_kw": {"linewidth": 1.1, "capsize": 2}}
        axes.bar(places, heights, width * 0.9, yerr=errors, label=name, color=_colour(index), **style)
        for place, one in zip(places, shown, strict=True):
            axes.annotate(
                f"{100 * one.value:.0f}", (place, one.high), (0, 3), textcoords="offset points", ha="center",
                fontsize=7.5,
            )  # fmt: skip
    axes.set_xticks(range(len(measures)), list(measures))
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    _percent(axes)
    legend_above(figure)
    return figure


@chart
def class_recall_bars(variants: Mapping[str, ClassRecall], names: Mapping[Any, str] | None = None) -> Canvas:
    """Draw recall@1 per class, worst of the last variant on top: its bars, the other variants as markers.

    `names` gives the name of a label; past 40 classes only the worst are drawn.
    """
    *others, (main_name, main) = variants.items()
    shown = min(len(main.labels), SHOWN_CLASSES)
    labels = main.labels[:shown].tolist()
    figure = canvas(5.2, 1.0 + 0.19 * max(shown, 4))
    axes = figure.subplots()
    rows = np.arange(shown)
    axes.barh(rows, main.recall[:shown], 0.66, color=_colour(len(others)), alpha=0.5, label=main_name)
    for index, (name, one) in enumerate(others):
        found = dict(zip(one.labels.tolist(), one.recall.tolist(), strict=True))
        marks: dict[str, Any] = {
            "linestyle": "none",
            "marker": MARKERS[index % len(MARKERS)],
            "markersize": 5,
            "markeredgecolor": "white",
        }
        values = [found.get(label, np.nan) for label in labels]
        axes.plot(values, rows, color=_colour(index), label=name, **marks)
    axes.set_yticks(
        rows, [_shortened((names or {}).get(label, str(label))) for label in labels], fontsize=8.5
    )
    axes.set(xlim=(0, 1.02), ylim=(shown - 0.4, -0.6), xlabel="recall@1")
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_above(figure)
    return figure


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _line(index: int) -> dict[str, Any]:
    return {"color": _colour(index), "linestyle": DASHES[index % len(DASHES)]}


def _percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _smoothed(values: Array) -> Array:
    """Return a centred running mean over a fortieth of the curve; near the ends over what there is."""
    width = 2 * (len(values) // 80) + 1
    kernel = np.ones(width)
    smooth: Array = np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")
    return smooth


def _shortened(text: str, length: int = 34) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
