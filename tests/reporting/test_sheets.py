"""Sheets of pictures: each where it belongs, stored once, boxes and lines of text in place, small files."""

import xml.etree.ElementTree as ET

import numpy as np
from reporting.example import HOSTILE
from reporting.sheet import SVG, nodes, picture, pictures_in, rows_in, texts

from fieldmark.figures.sheets import TONES, Cell, picture_sheet, tinted


def test_every_picture_has_a_place_of_its_own(tmp_path):
    cells = [Cell(picture(row)) for row in range(11)]
    picture_sheet(tmp_path / "a.svg", [cells[:4], cells[4:8], cells[8:]])
    assert rows_in(tmp_path / "a.svg") == list(range(11))
    places = [(int(node.get("x")), int(node.get("y"))) for node, _ in nodes(tmp_path / "a.svg")]
    assert len(set(places)) == 11
    assert len({top for _, top in places}) == 3


def test_a_picture_shown_twice_is_stored_once_and_drawn_in_both_places(tmp_path):
    rows = [[Cell(picture(9)), Cell(picture(5))], [Cell(picture(7)), Cell(picture(9))]]
    picture_sheet(tmp_path / "a.svg", rows)
    first, right, below, again = (node for node, _ in nodes(tmp_path / "a.svg"))
    assert again.tag == f"{SVG}use"
    at = int(first.get("x")) + int(again.get("x")), int(first.get("y")) + int(again.get("y"))
    assert at == (int(right.get("x")), int(below.get("y")))
    assert rows_in(tmp_path / "a.svg") == [9, 5, 7, 9]


def test_thumbnails_are_small_and_the_same_every_time(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(900, 600, 3), dtype=np.uint8)
    for name in ("a.svg", "b.svg"):
        picture_sheet(tmp_path / name, [[Cell(noise)]])
    assert pictures_in(tmp_path / "a.svg")[0].size == (96, 144)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.svg").stat().st_size < 40_000


def test_a_box_lies_where_it_does_in_the_picture(tmp_path):
    wide = np.zeros((20, 40, 3), np.uint8)  # fits the square's width; half its height stays free
    picture_sheet(tmp_path / "a.svg", [[Cell(wide, box=(10, 5, 20, 10))]])
    [image] = (node for node, _ in nodes(tmp_path / "a.svg"))
    left, top, side = (float(image.get(key)) for key in ("x", "y", "width"))
    drawn = ET.parse(tmp_path / "a.svg").getroot().iter(f"{SVG}rect")
    boxes = [node for node in drawn if node.get("fill") == "none"]
    expected = [left + side / 4, top + side / 4 + side / 8, side / 2, side / 4]
    for box in boxes:
        assert [float(box.get(key)) for key in ("x", "y", "width", "height")] == expected
    assert len(boxes) == 2  # a light rim and the line


def test_lines_below_are_toned_cut_and_escaped(tmp_path):
    lines = (("right", "good"), ("x" * 80, "faint"), (HOSTILE, "bad"))
    picture_sheet(tmp_path / "a.svg", [[Cell(picture(1), "caption", lines=lines)]])
    drawn = ET.parse(tmp_path / "a.svg").getroot()
    shown = list(drawn.iter(f"{SVG}text"))
    assert [node.get("fill") for node in shown[1:]] == [TONES["good"], TONES["faint"], TONES["bad"]]
    heights = [int(node.get("y")) for node in shown]
    assert heights == sorted(set(heights))
    assert heights[-1] < float(drawn.get("height"))
    assert texts(tmp_path / "a.svg")[2].endswith("x…")
    assert "<script" not in (tmp_path / "a.svg").read_text()


def test_a_tint_is_strongest_where_the_map_is():
    grey, values = np.full((8, 8, 3), 100, np.uint8), np.zeros((2, 2))
    values[0, 1] = 0.3
    made = tinted(grey, values)
    assert made[0, 7].tolist() == [198, 68, 57]
    assert made[7, 0].tolist() == [100, 100, 100]
    assert (tinted(grey, np.ones((2, 2))) == grey).all()
