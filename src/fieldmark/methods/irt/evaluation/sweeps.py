"""What arms over the margin show: recall, and how the loss's gradients spread, with a line for each weight of KoLeo."""

from collections.abc import Iterator, Mapping, Sequence

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.figures.trends import Point, trend_panels
from fieldmark.methods.irt.evaluation.settings import Setting, Settings, groups
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Measure

Measures = Mapping[str, Mapping[str, Measure]]
SPREAD = "gradient_spread"
RECALL_CAPTION = "Three or more models that differ in the margin alone, by the weight of KoLeo."
SPREAD_CAPTION = (
    "Gamma, the nuclear norm of the covariance of the contrastive loss's gradients over a batch, mean over training "
    "steps. The paper finds the best margins where it is lowest."
)


def draw_sweeps(settings: Settings, measures: Measures, recall: str, figures: FigureFolder) -> None:
    """Draw what was measured over the margin; nothing without three models that differ in it alone."""
    if panels := _panels(settings, measures, recall):
        path = figures.new("margin.svg", f"{recall} over the margin", RECALL_CAPTION, wide=True)
        trend_panels(path, panels, "margin, beta")
    if panels := _panels(settings, measures, SPREAD):
        path = figures.new("gradients.svg", "Spread of the gradients", SPREAD_CAPTION, wide=True)
        trend_panels(path, panels, "margin, beta", percent=False)


def sweep_notes(settings: Settings, measures: Measures, recall: str) -> Iterator[str]:
    """Say for each line over the margin where recall is highest, and where the gradients spread least."""
    for group in groups(settings, "margin"):
        best = max(group, key=lambda setting: measures[setting.name][recall].value)
        found = f"{recall} is highest at a margin of {best.values['margin']:g}"
        if all(SPREAD in measures[setting.name] for setting in group):
            least = min(group, key=lambda setting: measures[setting.name][SPREAD].value)
            found += f", the gradients spread least at {least.values['margin']:g}"
        yield f"{_backbone(best)}, {_line(best)}: {found}."


def _panels(settings: Settings, measures: Measures, measure: str) -> dict[str, dict[str, list[Point]]]:
    """Return backbone -> weight of KoLeo -> points (margin, measure)."""
    panels: dict[str, dict[str, list[Point]]] = {}
    for group in groups(settings, "margin"):
        lines = panels.setdefault(_backbone(group[0]), {})
        name = _line(group[0])
        if points := _points(group, measures, measure):
            lines[name if name not in lines else f"{name}, {group[0].name}"] = points
    return {title: lines for title, lines in panels.items() if lines}


def _points(group: Sequence[Setting], measures: Measures, measure: str) -> list[Point]:
    having = [setting for setting in group if measure in measures[setting.name]]
    return [(setting.values["margin"], _interval(measures[setting.name][measure])) for setting in having]


def _interval(measure: Measure) -> Interval:
    low = measure.value if measure.low is None else measure.low
    return Interval(measure.value, low, measure.value if measure.high is None else measure.high)


def _backbone(setting: Setting) -> str:
    return setting.backbone[0]


def _line(setting: Setting) -> str:
    return f"lambda {setting.values['lambda']:g}"
