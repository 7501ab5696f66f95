"""The figures of a section: entered where they are drawn, read back in that order, bad entries refused."""

import json

import pytest

from fieldmark.base.errors import UserError
from fieldmark.results.figures import FigureEntry, FigureFolder, read_figures


def test_figures_are_read_in_the_order_in_which_they_were_entered(tmp_path):
    figures = FigureFolder(tmp_path)
    for file in ("b.png", "a.svg"):
        figures.new(file, file.upper(), "c", wide=file == "b.png").write_bytes(file.encode())
    figures.write_index()
    read = read_figures(tmp_path)
    assert [figure.entry for figure in read] == [
        FigureEntry(file="b.png", title="B.PNG", caption="c", wide=True),
        FigureEntry(file="a.svg", title="A.SVG", caption="c"),
    ]
    assert [figure.content for figure in read] == [b"b.png", b"a.svg"]


def test_a_figure_that_was_not_drawn_is_left_out(tmp_path):
    figures = FigureFolder(tmp_path)
    figures.new("gone.svg", "Gone")
    figures.new("a.svg", "Here").write_text("<svg/>")
    figures.write_index()
    assert [figure.entry.title for figure in read_figures(tmp_path)] == ["Here"]


def test_a_name_that_is_no_picture_beside_the_index_is_refused_where_it_is_entered(tmp_path):
    for file in ("../a.svg", "a.html", "a/b.svg"):
        with pytest.raises(ValueError):
            FigureFolder(tmp_path).new(file, "t")


def test_no_index_no_figures(tmp_path):
    assert read_figures(tmp_path) == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"file": "../../secret.svg", "title": "t"}], r"0\.file"),
        ([{"file": "page.html", "title": "t"}], "should match pattern"),
        ([{"file": "gone.svg", "title": "t"}], "gone.svg, which does not exist"),
        ([{"file": "a.svg", "title": "t"}, {"file": "a.svg"}], r"1\.title"),
        ({"file": "a.svg"}, "must hold a list"),
    ],
)
def test_bad_entries_are_refused(tmp_path, entries, message):
    for file in ("a.svg", "page.html"):
        (tmp_path / file).write_text("<p>")
    (tmp_path / "figures.json").write_text(json.dumps(entries))
    with pytest.raises(UserError, match=message):
        read_figures(tmp_path)
