"""A table of similarities between named things, drawn as a picture."""

from collections.abc import Sequence

from matplotlib.figure import Figure as Canvas

from fieldmark.evaluation.arrays import Array
from fieldmark.figures.charts import chart
from fieldmark.figures.style import canvas
from fieldmark.results.figures import FigureFolder

SHOWN = 60  # how many things are drawn at most


@chart
def similarity_table(table: Array, names: Sequence[str]) -> Canvas:
    """Draw similarities (C, C) from -1 to 1 of the first 60 named things, in the order given."""
    shown = min(len(names), SHOWN)
    side = 2.6 + 0.085 * shown
    figure = canvas(side + 0.6, side)
    axes = figure.subplots()
    image = axes.imshow(table[:shown, :shown], vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
    size = min(8.0, 3.0 + 60 / shown)
    axes.set_xticks(range(shown), names[:shown], rotation=90, fontsize=size)
    axes.set_yticks(range(shown), names[:shown], fontsize=size)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="cosine similarity")
    return figure


def similarity_figure(table: Array, names: Sequence[str], figures: FigureFolder) -> None:
    """Draw how similar the class texts of a CLIP are."""
    caption = "Cosine similarity of the text embeddings of the class names, in the order of their groups."
    path = figures.new("similarity.svg", "How alike the class names are to the CLIP", caption, wide=True)
    similarity_table(path, table, names)
