"""`fieldmark.load(...).predict`: three lines that classify a picture."""

from pathlib import Path

import numpy as np
import pytest
from support.folders import classifying_model, describing_model

import fieldmark
from fieldmark.base.errors import UserError
from fieldmark.trained import Prediction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return classifying_model(tmp_path / "classifying")


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
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="use its embed"):
        fieldmark.load(describing_model(tmp_path / "describing")).predict(pixels)
    with pytest.raises(UserError, match="use its predict"):
        fieldmark.load(folder).embed(pixels)
    with pytest.raises(UserError, match="no picture"):
        fieldmark.load(folder).predict([])
