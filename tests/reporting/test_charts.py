"""Charts: valid SVG, the same bytes every time, any class name, degenerate data."""

import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from reporting.example import HOSTILE

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.confusions import ClassRecall
from fieldmark.evaluation.geometry import SimilarityHistograms, principal_energy, similarity_histograms
from fieldmark.figures import charts
from fieldmark.figures.similarity import similarity_table
from fieldmark.figures.style import COLOURS, canvas, legend_above

RNG = np.random.default_rng(0)
ROWS, LABELS = RNG.normal(size=(60, 12)), np.repeat(np.arange(6), 10)
HISTOGRAMS = similarity_histograms(ROWS, LABELS)
RECALL = ClassRecall(np.arange(6), np.linspace(0, 1, 6), np.full(6, 10))
MEASURES = {"recall@1": Interval(0.5, 0.4, 0.6), "map@r": Interval(0.2, 0.2, 0.2)}
MANY = list(map(str, range(12)))  # more than there are colours, dashes and markers
CURVE = (range(50), RNG.normal(size=50))

DRAW = {
    "similarities": lambda path: similarity_table(path, np.eye(70), [HOSTILE, *map(str, range(69))]),
    "energy": lambda path: charts.energy_curves(path, {HOSTILE: principal_energy(ROWS), "B": np.ones(12)}),
    "similarity": lambda path: charts.similarity_panels(path, {HOSTILE: HISTOGRAMS, "B": HISTOGRAMS}),
    "loss": lambda path: charts.loss_curves(path, {HOSTILE: {"L": CURVE, "R": ([0], [1.0])}}),
    "measures": lambda path: charts.measure_bars(
        path, {HOSTILE: MEASURES, "B": MEASURES}, ["recall@1", "map@r"]
    ),
    "classes": lambda path: charts.class_recall_bars(path, {"O": RECALL, "R": RECALL}, {2: HOSTILE}),
    "collapsed": lambda path: charts.energy_curves(path, {"A": principal_energy(np.ones((3, 1)))}),
    "no pairs": lambda path: charts.similarity_panels(
        path, {"A": SimilarityHistograms(np.linspace(-1, 1, 11), np.zeros(10, int), np.zeros(10, int))}
    ),
    "no curves": lambda path: charts.loss_curves(path, {"contrastive": {}}),
    "no classes": lambda path: charts.class_recall_bars(
        path, {"A": ClassRecall(np.array([]), np.array([]), np.array([]))}
    ),
    "many classes": lambda path: charts.class_recall_bars(
        path, {"A": ClassRecall(np.arange(500), np.linspace(0, 1, 500), np.full(500, 2))}
    ),
    "many variants' energies": lambda path: charts.energy_curves(path, dict.fromkeys(MANY, np.ones(12))),
    "many variants' curves": lambda path: charts.loss_curves(path, {"L": dict.fromkeys(MANY, CURVE)}),
    "many variants' measures": lambda path: charts.measure_bars(
        path, dict.fromkeys(MANY, MEASURES), ["recall@1"]
    ),
    "many variants' classes": lambda path: charts.class_recall_bars(path, dict.fromkeys(MANY, RECALL)),
    "many variants' intervals": lambda path: charts.interval_curves(
        path, dict.fromkeys(MANY, ([1.0, 2.0], [Interval(0.5, 0.4, 0.6)] * 2)), "steps", "recall@1"
    ),
}


def texts(path):
    root = ET.parse(path).getroot()
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", DRAW)
def test_same_valid_svg_every_time(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DRAW[name](tmp_path / "a.svg")
        DRAW[name](tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert texts(tmp_path / "a.svg") or name == "no curves"
    assert (tmp_path / "a.svg").stat().st_size < 200_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.svg"]


def test_names_stay_text_and_numbers_are_written(tmp_path):
    DRAW["measures"](tmp_path / "a.svg")
    assert HOSTILE in texts(tmp_path / "a.svg")
    assert texts(tmp_path / "a.svg").count("50") == 2
    DRAW["energy"](tmp_path / "a.svg")
    assert any(text.startswith("B: 1 for 90") for text in texts(tmp_path / "a.svg"))


def test_only_the_worst_of_many_classes_are_drawn(tmp_path):
    DRAW["many classes"](tmp_path / "a.svg")
    drawn = texts(tmp_path / "a.svg")
    assert "0" in drawn
    assert str(charts.SHOWN_CLASSES - 1) in drawn
    assert str(charts.SHOWN_CLASSES) not in drawn


def test_a_variant_keeps_its_colour_in_every_chart(tmp_path):
    """R is third of three everywhere, though the frozen O has no loss."""
    variants = ["O", "L", "R"]
    charts.loss_curves(tmp_path / "a.svg", {"koleo": {"R": CURVE}}, order=variants)
    charts.energy_curves(tmp_path / "b.svg", dict.fromkeys(variants, np.ones(12)))
    assert COLOURS[2] in (tmp_path / "a.svg").read_text()
    assert not {COLOURS[0], COLOURS[1]} & set((tmp_path / "a.svg").read_text().split('"'))
    assert COLOURS[2] in (tmp_path / "b.svg").read_text()


def test_smoothing_keeps_constants_and_length():
    np.testing.assert_allclose(charts._smoothed(np.full(400, 3.0)), 3.0)
    values = RNG.normal(size=401)
    slow = [values[max(i - 5, 0) : i + 6].mean() for i in range(401)]
    np.testing.assert_allclose(charts._smoothed(values), slow)


def test_a_long_key_takes_several_rows_within_the_figure():
    names = [f"a variant of name {number}" for number in range(9)]
    figure = canvas()
    panels = figure.subplots(2)
    for number, name in enumerate(names):
        panels[number % 2].plot([0, 1], [0, number], label=name)
    legend_above(figure, [*reversed(names), "not drawn"])
    figure.draw_without_rendering()
    [key] = figure.legends
    assert [text.get_text() for text in key.get_texts()] == names[::-1]
    assert key.get_window_extent().x1 <= figure.bbox.x1
    assert len({round(text.get_window_extent().y0) for text in key.get_texts()}) > 1
