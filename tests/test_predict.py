"""`fieldmark.load(...).predict`: three lines that classify a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIDE, make_task

import fieldmark
from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import save_model
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.trained import Prediction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fields = {"variants": ["plain"], "images": {"side": SIDE}, "train": {"steps": 0, "lr": 1e-3}}
    params = parse(PmaParams, fields, "pma")
    torch.manual_seed(0)
    save_model(Pma.build(Pma.named(params, "plain"), make_task(tmp_path / "task")), tmp_path / "student")
    return tmp_path / "student"


def test_a_picture_is_classified(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    model = fieldmark.load(folder)
    [prediction] = model.predict(pixels)
    assert prediction.names == ("class 0", "class 1", "class 2")
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert prediction.top(1) == [(prediction.name, prediction.probability)]
    many = model.predict([pixels, pixels[:20]])
    assert len(many) == 2
    np.testing.assert_allclose(many[0].probabilities, prediction.probabilities, rtol=1e-5)


def test_a_prediction_by_hand() -> None:
    prediction = Prediction(("owl", "wren", "finch"), np.array([0.2, 0.7, 0.6], np.float32))
    assert (prediction.name, prediction.probability) == ("wren", pytest.approx(0.7))
    assert [name for name, _ in prediction.top(2)] == ["wren", "finch"]
    assert [name for name, _ in prediction.above()] == ["wren", "finch"]
    assert prediction.above(0.9) == []
    assert prediction.present == prediction.top(1)
    thresholded = Prediction(
        prediction.names, prediction.probabilities, np.array([0.1, 0.7, 0.65], np.float32)
    )
    assert [name for name, _ in thresholded.present] == ["wren", "owl"]


def test_a_model_says_what_it_cannot_do(folder: Path, tmp_path: Path) -> None:
    params = parse(IrtParams, {"images": {"side": SIDE}, "train": {"steps": 0, "lr": 1e-3}}, "irt")
    save_model(Irt.build(Irt.named(params, "R"), make_task(tmp_path / "other")), tmp_path / "irt")
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="use its embed"):
        fieldmark.load(tmp_path / "irt").predict(pixels)
    with pytest.raises(UserError, match="use its predict"):
        fieldmark.load(folder).embed(pixels)
    with pytest.raises(UserError, match="no picture"):
        fieldmark.load(folder).predict([])
