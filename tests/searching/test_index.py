"""The index of pictures: what is nearest, recall, files that do not fit, a model that has changed."""

import json
from pathlib import Path

import faiss
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from support.folders import describing_model

import fieldmark
from fieldmark.base.errors import UserError
from fieldmark.command.index import KINDS as OFFERED
from fieldmark.searching.index import ABOUT, INDEX, KINDS, PICTURES, PictureIndex, measured_recall
from fieldmark.trained import TrainedModel

DIMENSIONS = 8


@pytest.fixture
def model(tmp_path: Path) -> TrainedModel:
    return fieldmark.load(describing_model(tmp_path))


def vectors_of(count: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(count, DIMENSIONS))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def names_of(count: int) -> list[Path]:
    return [Path(f'/photos/a "{number}",\n.jpg') for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 5, 300])
def test_an_index_that_is_read_again_finds_what_is_nearest(
    model: TrainedModel, tmp_path: Path, kind: str, count: int
) -> None:
    vectors = vectors_of(count)
    PictureIndex.build(model, names_of(count), vectors, kind).write(tmp_path / "i")
    index = PictureIndex.read(tmp_path / "i")
    index.require_model(model)
    queries = vectors_of(4, seed=1)
    for query, found in zip(queries, index.search(queries, 5), strict=True):
        order = np.argsort(-(vectors @ query))[:5]
        assert [one.path for one in found] == [names_of(count)[row] for row in order]
        np.testing.assert_allclose([one.similarity for one in found], (vectors @ query)[order], atol=1e-5)


def test_the_kinds_are_those_that_the_command_offers() -> None:
    assert OFFERED == KINDS


def test_recall_is_that_of_a_slow_count() -> None:
    vectors, lists = vectors_of(400), 20
    exact = faiss.IndexFlatIP(DIMENSIONS)
    coarse = faiss.IndexIVFFlat(exact, DIMENSIONS, lists, faiss.METRIC_INNER_PRODUCT)
    coarse.train(vectors)
    coarse.add(vectors)
    coarse.nprobe = 1
    _, found = coarse.search(vectors, 11)
    shares = []
    for row, vector in enumerate(vectors):
        similarities = vectors @ vector
        similarities[row] = -2
        true = set(np.argsort(-similarities)[:10])
        shares.append(len(true & set([one for one in found[row] if one != row][:10])) / 10)
    recall = measured_recall(coarse, vectors)
    assert recall == pytest.approx(np.mean(shares), abs=1e-6)
    assert 0.1 < recall < 0.95
    exact_alone = faiss.IndexFlatIP(DIMENSIONS)
    exact_alone.add(vectors)
    assert measured_recall(exact_alone, vectors) == 1.0


def test_equal_pictures_stand_for_one_another_and_one_has_no_neighbour() -> None:
    index = faiss.IndexFlatIP(DIMENSIONS)
    same = np.repeat(vectors_of(1), 30, axis=0)
    index.add(same)
    assert measured_recall(index, same) == 1.0
    assert measured_recall(index, same[:1]) is None


def test_a_changed_model_is_refused_in_one_line(model: TrainedModel, tmp_path: Path) -> None:
    index = PictureIndex.build(model, names_of(2), vectors_of(2), "flat")
    path = model.folder / "weights.safetensors"
    whole = path.read_bytes()
    weights = load_file(path)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, path)
    with pytest.raises(UserError, match="has changed since") as caught:
        index.require_model(fieldmark.load(model.folder))
    assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    index.require_model(fieldmark.load(model.folder))
    description = model.folder / "model.json"
    description.write_text(description.read_text().replace('"resize": null', '"resize": 40'))
    with pytest.raises(UserError, match=r"model\.json has changed"):
        index.require_model(fieldmark.load(model.folder))


@pytest.mark.parametrize("file", [INDEX, PICTURES, ABOUT])
@pytest.mark.parametrize("damage", ["absent", "empty", "cut"])
def test_a_damaged_index_is_refused_in_one_line(
    model: TrainedModel, tmp_path: Path, file: str, damage: str
) -> None:
    folder = tmp_path / "i"
    PictureIndex.build(model, names_of(9), vectors_of(9), "hnsw").write(folder)
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    if damage != "absent":
        (folder / file).write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    with pytest.raises(UserError) as caught:
        PictureIndex.read(folder)
    assert "\n" not in str(caught.value)


def test_an_index_replaces_an_index_and_nothing_else(model: TrainedModel, tmp_path: Path) -> None:
    index = PictureIndex.build(model, names_of(2), vectors_of(2), "flat")
    (tmp_path / "mine").mkdir()
    index.write(tmp_path / "mine")
    index.write(tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == sorted([INDEX, PICTURES, ABOUT])
    assert json.loads((tmp_path / "mine" / ABOUT).read_text())["kind"] == "flat"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for other in ("other", "file"):
        with pytest.raises(UserError, match="is no index"):
            index.write(tmp_path / other)
    assert (tmp_path / "other/letter.txt").exists()
