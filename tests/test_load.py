"""`fieldmark.load`: pictures of every kind give the descriptor that evaluation saw."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import SIDE, make_task

import fieldmark
from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import save_model
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    params = parse(IrtParams, {"images": {"side": SIDE}, "train": {"steps": 0, "lr": 1e-3}}, "irt")
    method = Irt.build(Irt.named(params, "R"), make_task(tmp_path / "task"))
    save_model(method, tmp_path / "model")
    return tmp_path / "model"


def test_every_kind_of_picture_gives_the_same_descriptor(folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    model = fieldmark.load(folder)
    vector = model.embed(pixels)
    assert vector.shape == (1, 16)
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(1))
    for same in (str(path), path, path.read_bytes(), Image.fromarray(pixels)):
        torch.testing.assert_close(model.embed([same, pixels]), vector.repeat(2, 1))


def test_equals_what_evaluation_computes(folder: Path, tmp_path: Path) -> None:
    task = make_task(tmp_path / "again")
    model = fieldmark.load(folder)
    subset = task.subset("test")
    expected = task.run(model.model, model.model.embed, subset, model.model.loaded, "test")
    got = model.embed([task.store[int(row)] for row in subset.rows])
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"not a picture")
    model = fieldmark.load(folder)
    for wrong in ([], tmp_path / "no.jpg", tmp_path / "absent.jpg", b"", np.zeros((4, 4), np.uint8)):
        with pytest.raises(UserError) as caught:
            model.embed(wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no trained model"):
        fieldmark.load(tmp_path)


def test_the_folder_of_a_variant_gives_its_only_model_or_says_its_seeds(folder: Path, tmp_path: Path) -> None:
    variant = tmp_path / "R"
    shutil.copytree(folder, variant / "3")
    assert fieldmark.load(variant).model.variant == fieldmark.load(folder).model.variant
    shutil.copytree(folder, variant / "12")
    with pytest.raises(UserError) as caught:
        fieldmark.load(variant)
    assert (
        str(caught.value) == f"{variant} holds the models of seeds 3, 12; name one, such as {variant / '3'}"
    )
