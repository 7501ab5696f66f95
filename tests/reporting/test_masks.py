"""Masks and trends as pictures, and the sheet of pictures that have masks alone."""

import re

import numpy as np
from PIL import Image
from support.masked import NAMES

from fieldmark.datasets.describing.overview import draw_overview
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.figures.masks import coloured_labels, framed, label_colours, label_key
from fieldmark.figures.trends import trend_panels
from fieldmark.results.figures import FigureFolder, read_figures


def test_every_label_of_a_usual_data_set_has_a_colour_of_its_own():
    colours = label_colours()
    assert len({tuple(colour) for colour in colours[:150].tolist()}) == 150
    assert colours[255].tolist() == [255, 255, 255]
    mask = np.array([[0, 3], [255, 1]], np.uint8)
    assert np.array_equal(coloured_labels(mask)[0, 1], colours[3])


def test_the_key_names_the_colours_in_rows():
    rows = list(label_key(NAMES, 3))
    assert [[cell.caption for cell in row] for row in rows] == [list(NAMES[:3]), list(NAMES[3:])]
    assert rows[1][0].picture[0, 0].tolist() == label_colours()[3].tolist()
    assert sum(len(row) for row in label_key([str(n) for n in range(150)], 8)) == 32


def test_frames_leave_the_picture_alone_and_stay_inside_it():
    picture = np.zeros((20, 30, 3), np.uint8)
    drawn = framed(picture, {(9, 8, 7): (2, 3, 10, 100), (1, 2, 3): (-4, -4, 8, 8)}, width=2)
    assert not picture.any()
    assert drawn[2, 10].tolist() == drawn[3, 29].tolist() == [9, 8, 7]
    assert drawn[6, 10].tolist() == [0, 0, 0]
    assert drawn[3, 0].tolist() == [1, 2, 3]


def test_a_logarithmic_setting_is_written_in_thousands_where_points_are(tmp_path):
    point = Interval(0.2, 0.1, 0.3)
    panels = {
        "left": {"small": [(480, point), (4800, point)]},
        "right": {"large": [(1_234_567, point), (2.2e7, point)]},
    }
    trend_panels(tmp_path / "a.svg", panels, "pictures", logarithmic=True)
    written = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert {"480", "4.8 k", "1.23 M", "22 M"} <= {text.strip() for text in written}
    assert not [text for text in written if "math" in text]


def test_trends_are_drawn_with_a_line_a_name(tmp_path):
    points = [(0.0, Interval(0.5, 0.4, 0.6)), (0.8, Interval(0.3, 0.2, 0.35))]
    panels = {"accuracy": {"LOCA": points}, "mIoU": {"LOCA": points, "position": points[:1]}}
    trend_panels(tmp_path / "a.svg", panels, "eta")
    trend_panels(tmp_path / "b.svg", panels, "eta")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert all(word in text for word in ("LOCA", "position", "accuracy", "mIoU", "eta"))


def test_pictures_without_a_class_get_a_sheet_and_no_difficulty(tmp_path):
    pictures = [Specimen(Image.new("RGB", (8, 6), (n, 0, 0)), "", "") for n in range(50)]
    figures = FigureFolder(tmp_path)
    assert draw_overview(pictures, figures) == {}
    figures.write_index()
    [figure] = read_figures(tmp_path)
    sheet = Image.open(tmp_path / figure.entry.file)
    assert sheet.width > 8 * 96
    assert sheet.height > 4 * 96
