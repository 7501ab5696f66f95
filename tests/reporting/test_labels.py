"""The overview of pictures with several labels, and their frequencies on the data set's card."""

import numpy as np
import pytest
from PIL import Image

from fieldmark.datasets.describing.contact import labelled_sheet
from fieldmark.datasets.describing.difficulty import neighbour_votes
from fieldmark.datasets.describing.labels import co_occurrence_chart, measure_label_difficulty
from fieldmark.datasets.describing.overview import draw_overview
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.reporting.datasets import dataset_view
from fieldmark.reporting.reading import DatasetResult
from fieldmark.results.figures import FigureFolder, read_figures


def scenes(count=24):
    """Pictures whose colour gives their first label away; the second one is on every third."""
    rng = np.random.default_rng(0)
    pictures = []
    for n in range(count):
        colour = np.array([200, 40, 40] if n % 2 else [30, 60, 190]) + rng.integers(-9, 9, 3)
        labels = ("red" if n % 2 else "blue", *(("x $ y",) if n % 3 == 0 else ()))
        pictures.append(
            Specimen(Image.new("RGB", (40, 30), tuple(colour.tolist())), "", f"group {n % 2}", labels)
        )
    return pictures


def test_the_overview_is_that_of_labels(tmp_path):
    drawn = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        figures = FigureFolder(tmp_path / name)
        difficulty = draw_overview(scenes(), figures)
        figures.write_index()
        drawn.append(read_figures(tmp_path / name))
    assert set(difficulty) == {"pixels_map", "colours_map", "chance_map"}
    assert [figure.entry.file for figure in drawn[0]] == ["contact.webp", "co-occurrence.svg"]
    assert all(len(figure.content) > 500 for figure in drawn[0])
    assert drawn[0][1].content == drawn[1][1].content


def test_pictures_with_a_class_keep_their_overview(tmp_path):
    pictures = [picture._replace(class_name=picture.labels[0]) for picture in scenes()]
    assert "pixels_class" in draw_overview(pictures, FigureFolder(tmp_path))


def test_the_sheet_has_a_place_for_every_group():
    single, double = (labelled_sheet(scenes()[:: 2 - n], photographs=4, columns=2, tile=40) for n in (0, 1))
    assert single.width == double.width
    assert double.height > single.height
    assert (30, 60, 190) not in {colour for _, colour in labelled_sheet([]).getcolors(10)}


def test_difficulty_is_high_where_colours_tell():
    pictures = scenes(60)
    names = ["blue", "red"]
    targets = np.array([[name in picture.labels for name in names] for picture in pictures], dtype=np.float32)
    difficulty = measure_label_difficulty(pictures, targets)
    assert difficulty["pixels_map"] == pytest.approx(1.0)
    assert difficulty["chance_map"] == pytest.approx(0.5)


def test_votes_leave_the_picture_itself_out():
    features = np.array([[0.0], [0.1], [5.0], [5.1]], dtype=np.float32)
    targets = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=np.float32)
    np.testing.assert_array_equal(neighbour_votes(features, targets, 1), targets[[1, 0, 3, 2]])
    assert neighbour_votes(features, targets, 99).shape == (4, 2)
    with pytest.raises(ValueError, match="two rows"):
        neighbour_votes(features[:1], targets[:1])


def test_co_occurrence_leaves_out_classes_without_pictures(tmp_path):
    targets = np.array([[1, 1, 0], [1, 0, 0]], dtype=np.float32)
    co_occurrence_chart(tmp_path / "chart.svg", ["tree", "duck & co", "nothing here"], targets)
    text = (tmp_path / "chart.svg").read_text()
    assert "duck &amp; co" in text
    assert "nothing here" not in text


def test_the_card_shows_training_frequencies_by_group():
    validation = {
        "balance": {"labels_per_picture": 2.5, "unlabelled": 3},
        "splits": {
            "tail": {"train": {"counts": {"tree": 30, "owl": 1}}, "val": {"counts": {"tree": 10}}, "test": {}}
        },
        "groups": {
            "tail": {"thresholds": {"head": 20, "tail": 5}, "head": ["tree"], "medium": [], "tail": ["owl"]}
        },
    }
    view = dataset_view(DatasetResult("scenes", {}, validation, []))
    assert ("labels per picture", "2.50") in view.details
    [frequencies] = view.frequencies
    assert [(bar.name, bar.group, bar.count, bar.percent) for bar in frequencies.bars] == [
        ("tree", "head", "40", 100.0),
        ("owl", "tail", "1", 2.5),
    ]
    assert frequencies.legend[0][1] == "head: at least 20 training pictures"
    assert dataset_view(DatasetResult("odd", {}, {"groups": {"s": "?"}}, [])).frequencies[0].bars == []
