"""Trained models on files: pictures found, damaged ones passed over, vectors and classes as `load` gives them."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.folders import classifying_model, describing_model, photographs

import fieldmark
from fieldmark.base.errors import UserError
from fieldmark.inference.classes import COLUMNS, as_csv, as_table, predict_files
from fieldmark.inference.pictures import Skipped, find_pictures
from fieldmark.inference.vectors import embed_files, write_vectors
from fieldmark.trained import BATCH

COUNT = BATCH + 3  # two batches


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photographs(tmp_path / "photos", COUNT)


def test_pictures_are_found_once_in_order_and_others_passed_over(photos: Path, tmp_path: Path) -> None:
    found = find_pictures([photos, photos / "class 0/000.jpg"])
    assert len(found) == COUNT + 1  # the damaged one is found out later
    assert found == sorted(found)
    named = photos / "class 1/001.jpg"
    assert find_pictures([named, photos])[0] == named
    (tmp_path / "empty").mkdir()
    for wrong, message in ((tmp_path / "absent", "no file or folder"), (tmp_path / "empty", "no picture")):
        with pytest.raises(UserError, match=message):
            find_pictures([wrong])


def test_vectors_are_those_of_each_picture_alone(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, skipped = fieldmark.load(describing_model(tmp_path)), list[Skipped]()
    kept, vectors = embed_files(model, find_pictures([photos]), skipped)
    assert [one.path.name for one in skipped] == ["damaged.jpg"]
    assert "damaged.jpg" in capsys.readouterr().err
    assert len(kept) == len(vectors) == COUNT
    for place in (0, BATCH - 1, BATCH, COUNT - 1):
        np.testing.assert_allclose(vectors[place], model.embed(kept[place])[0], atol=1e-5)
    with pytest.raises(UserError, match="none of the 1 files"):
        embed_files(model, [photos / "class 0/damaged.jpg"], [])


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_files_of_vectors_hold_what_was_written(tmp_path: Path, ending: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    names, path = [Path("ä b.jpg"), Path("b/c.jpg"), Path("d.jpg")], tmp_path / f"vectors{ending}"
    write_vectors(path, names, vectors)
    if ending == ".npz":
        with np.load(path, allow_pickle=False) as content:
            paths, read = list(content["paths"]), content["vectors"]
    else:
        table = pd.read_parquet(path)
        paths, read = list(table["path"]), np.stack(table["vectors"])
    assert paths == list(map(str, names))
    np.testing.assert_array_equal(read, vectors)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_file_of_vectors_needs_a_known_ending(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.npz or \.parquet"):
        write_vectors(tmp_path / "vectors.pkl", [Path("a")], np.zeros((1, 2), np.float32))


def test_classes_are_those_of_predict(photos: Path, tmp_path: Path) -> None:
    model = fieldmark.load(classifying_model(tmp_path))
    paths = [photos / "class 0/000.jpg", photos / "class 1/001.jpg"]
    [one, other] = list(predict_files(model, paths, [], top=None))
    [expected] = model.predict(paths[1])
    assert one[0] == str(paths[0])
    assert other == (str(paths[1]), 1, expected.name, f"{expected.probability:.4f}", "yes")
    rows = list(predict_files(model, paths, [], top=2))
    assert [(row[1], row[4]) for row in rows] == [(1, "yes"), (2, "no")] * 2
    read = list(csv.reader(io.StringIO(as_csv(rows))))
    assert read == [list(COLUMNS), *[list(map(str, row)) for row in rows]]
    lines = as_table(rows).splitlines()
    assert len(lines) == 5
    places = {line.rindex(row[2]) for line, row in zip(lines[1:], rows, strict=True)}
    assert places == {lines[0].index("class")}
