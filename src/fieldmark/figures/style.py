"""The style of all charts, and saving them so that the same chart always gives the same bytes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from fieldmark.base.files import atomic_path

# The palette of Okabe and Ito, which colour-blind readers can tell apart. The baseline comes first, in grey. There is a
# brown for their yellow, which is hard to see on white paper.
COLOURS = ("#767b82", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a4a1e")
DASHES = ("--", "-", "-", "-.", ":", (0, (5, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
RIGHT, WRONG = "#13804a", "#c8321f"
FAINT_RIGHT = "#a9d8bd"  # behind dark text
INK, MUTED, GRID = "#1f2429", "#68707a", "#e3e6e8"
KEY_WIDTH, LETTER_WIDTH = 0.62, 0.082  # inches of a legend: a line with its gaps, and a letter
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 9.5,
    "text.parse_math": False,  # a class may be called "$x_{"
    "svg.fonttype": "none",
    "svg.hashsalt": "fieldmark",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
}


def canvas(width: float = 5.2, height: float = 3.2) -> Canvas:
    """Return an empty figure of `width` by `height` inches; draw on it inside `mpl.rc_context(RC)`."""
    return Canvas(figsize=(width, height), layout="constrained")


def legend_above(figure: Canvas, order: Sequence[str] = ()) -> None:
    """Put one key for all panels above them, with as many columns as the longest name leaves room for.

    `order` says in which order its entries come, and may name more than are drawn; without it they come as drawn.
    """
    drawn: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    names = [name for name in order if name in drawn] or list(drawn)
    if names:
        widest = KEY_WIDTH + LETTER_WIDTH * max(map(len, names))
        columns = max(1, min(len(names), int(figure.get_figwidth() / widest)))
        figure.legend([drawn[name] for name in names], names, loc="outside upper left", ncols=columns)


def save(figure: Canvas, path: Path) -> None:
    """Write a chart as SVG without dates and hashed ids. Its text stays text, in a font of the reader."""
    with atomic_path(path) as temporary, mpl.rc_context(RC):
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
        drawn = temporary.read_text(encoding="utf-8")
        temporary.write_text(_numbered(drawn).replace("'DejaVu Sans'", FONTS), encoding="utf-8")


def _numbered(drawn: str) -> str:
    """Name markers and clip paths by their order.

    Matplotlib hashes coordinates into these names, and the last bits of a layout differ between two processes.
    """
    names = list(dict.fromkeys(re.findall(r'id="([a-z][0-9a-f]{10})"', drawn)))
    numbers = {name: f"{name[0]}{number}" for number, name in enumerate(names)}
    return re.sub(r"[a-z][0-9a-f]{10}(?=[\")])", lambda match: numbers.get(match[0], match[0]), drawn)
