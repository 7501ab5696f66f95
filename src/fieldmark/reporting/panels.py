"""Pictures with a marked region and lines of text below each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from fieldmark.evaluation.arrays import Array
from fieldmark.reporting.charts import chart
from fieldmark.reporting.style import INK, MUTED, RIGHT, WRONG, canvas

Tone = Literal["plain", "good", "bad", "faint"]
TONES: dict[Tone, str] = {"plain": INK, "good": RIGHT, "bad": WRONG, "faint": MUTED}
WIDTH, SIDE, LINE = 1.75, 1.3, 0.135  # inches
LONGEST = 30  # letters of a line


@dataclass(frozen=True)
class Panel:
    """A picture (H, W, 3) uint8 with a title, a box (x, y, width, height) in pixels, and lines below."""

    picture: Array
    title: str
    box: tuple[float, float, float, float] | None = None
    lines: tuple[tuple[str, Tone], ...] = ()


@chart
def panel_sheet(rows: Sequence[Sequence[Panel]]) -> Canvas:
    """Draw rows of panels; without any the sheet says that there is nothing to show."""
    columns = max((len(row) for row in rows), default=1)
    most = max((len(panel.lines) for row in rows for panel in row), default=0)
    figure = canvas(WIDTH * columns, max(1, len(rows)) * (SIDE + 0.3 + LINE * most))
    if not rows:
        figure.text(0.5, 0.5, "nothing to show", ha="center", color=MUTED)
        return figure
    figure.set_layout_engine("none")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    height = figure.get_figheight() / len(rows)
    for number, row in enumerate(rows):
        for column, axes in enumerate(grid[number]):
            bottom = (len(rows) - number - 1) * height + height - SIDE - 0.2
            left = column * WIDTH + (WIDTH - SIDE) / 2
            axes.set_position(
                (left / (WIDTH * columns), bottom / (height * len(rows)),
                 SIDE / (WIDTH * columns), SIDE / (height * len(rows)))
            )  # fmt: skip
            axes.set_axis_off()
            if column < len(row):
                _draw(axes, row[column])
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    axes.imshow(panel.picture, interpolation="nearest")
    axes.set_title(_fitted(panel.title), fontsize=7.5, pad=2)
    if panel.box:
        x, y, width, height = panel.box
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor="white", linewidth=2.6)
        )
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=WRONG, linewidth=1.3)
        )
    for number, (text, tone) in enumerate(panel.lines):
        down = -(number + 0.9) * LINE / SIDE
        axes.text(0, down, _fitted(text), transform=axes.transAxes, fontsize=6.5, color=TONES[tone])


def _fitted(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
