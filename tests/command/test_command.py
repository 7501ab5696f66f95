"""The command `fieldmark`: each subcommand as its user calls it, help with an example, mistakes as one line."""

import re
import shlex
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.folders import classifying_model, describing_model, photographs
from support.pictures import write_picture
from support.pipeline import ROOT

from fieldmark.command.main import SUBCOMMANDS, main, parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## After training\n")[2].partition("\n## ")[0]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COUNT = 24


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with models, photographs and a photo of its own."""
    monkeypatch.chdir(tmp_path)
    describing_model(tmp_path / "describing")
    classifying_model(tmp_path / "classifying")
    photographs(tmp_path / "photos", COUNT)
    write_picture(tmp_path / "photo <&>.jpg", 3)  # as one of the photographs
    return tmp_path


def refused(arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line with which a command ends."""
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(arguments))
    message = str(caught.value)
    assert message.startswith("error: "), message
    assert "\n" not in message
    capsys.readouterr()
    return message


@pytest.mark.parametrize("module", SUBCOMMANDS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_help_has_an_example_that_is_understood(module, capsys):
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    example = re.search(r"example:\n  fieldmark (.+)", capsys.readouterr().out)
    assert example
    assert parser().parse_args(shlex.split(example[1])).run is module.run


def test_help_waits_for_no_torch():
    """Importing torch takes seconds."""
    code = "import sys; from fieldmark.command.main import parser; parser(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_the_console_command_is_this_one():
    assert PROJECT["scripts"] == {"fieldmark": f"{main.__module__}:{main.__name__}"}


def test_pictures_are_embedded_into_a_file(place, capsys):
    main(["embed", "describing/R", "photos", "-o", "vectors.npz"])
    assert "skipped 1" in capsys.readouterr().out
    with np.load("vectors.npz", allow_pickle=False) as content:
        assert content["vectors"].shape == (COUNT, 16)
        assert len(set(content["paths"])) == COUNT


def test_pictures_are_classified_into_a_table_and_into_a_file(place, capsys):
    main(["predict", "classifying/plain", "photos", "--top", "2"])
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 * COUNT
    main(["predict", "classifying/plain", "photos", "-o", "classes.csv"])
    table = pd.read_csv("classes.csv")
    assert set(table["class"]) <= {"class 0", "class 1", "class 2"}
    assert len(table) == COUNT


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])
def test_a_photo_is_found_and_shown(place, capsys, kind):
    main(["index", "describing/R", "photos", "--kind", kind])
    said = capsys.readouterr()
    assert "damaged.jpg" in said.err
    assert "photos.index: 24 pictures" in said.out
    assert "against exact search: 1.0000" in said.out
    main(["search", "photos.index", "photo <&>.jpg", "photos/class 0/004.jpg", "--k", "5"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split(maxsplit=2) == ["1", "1.0000", str(place / "photos/class 1/003.jpg")]
    page = Path("sheet.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?:http|/)', page)
    assert page.count("<tr><td>") == 10
    assert "photo &lt;&amp;&gt;.jpg" in page
    drawings = [ET.fromstring(one) for one in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    names = [node.get("id") for drawing in drawings for node in drawing.iter() if node.get("id")]
    assert len(drawings) == 2
    assert len(names) == len(set(names)) >= 8


def test_a_picture_that_is_gone_is_said_and_shown_grey(place, capsys):
    main(["index", "describing/R", "photos"])
    (place / "photos/class 1/003.jpg").unlink()
    main(["search", "photos.index", "photo <&>.jpg", "--k", "1", "--sheet", "out/s.html"])
    assert "003.jpg" in capsys.readouterr().out
    assert Path("out/s.html").exists()
    main(["search", "photos.index", "photo <&>.jpg", "--no-sheet"])
    assert not Path("sheet.html").exists()


def test_mistakes_are_one_line(place, capsys):
    assert "holds no trained model" in refused("embed photos photos -o v.npz", capsys)
    assert "use its predict" in refused("index classifying/plain photos", capsys)
    assert "use its embed" in refused("predict describing/R photos", capsys)
    assert "must end with" in refused("embed describing/R photos -o v.txt", capsys)
    assert "no file or folder" in refused("embed describing/R absent -o v.npz", capsys)
    assert "is no index" in refused("search photos photos/notes.txt", capsys)
    assert "the index comes first" in refused("search photos/notes.txt photos", capsys)
    assert "is no index" in refused("index describing/R photos -o photos", capsys)
    assert "must end with" in refused("export describing/R -o m.txt", capsys)
    main(["index", "describing/R", "photos"])
    assert "not a picture" in refused("search photos.index photos/notes.txt", capsys)
    (place / "describing").rename(place / "moved")
    assert "--model" in refused("search photos.index 'photo <&>.jpg'", capsys)
    main(["search", "photos.index", "photo <&>.jpg", "--model", "moved/R", "--no-sheet"])
    weights = place / "moved/R/0/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\1\1\1")
    line = refused("search photos.index 'photo <&>.jpg' --model moved/R", capsys)
    assert "has changed since the index was made" in line
    assert not [path for path in place.rglob("*") if ".part" in path.name]


def test_the_readme_shows_commands_that_are_understood():
    commands = re.findall(r"^fieldmark ([^#\n]+)", SECTION, re.MULTILINE)
    assert {parser().parse_args(shlex.split(one)).run for one in commands} == {one.run for one in SUBCOMMANDS}
