"""ONNX files: equal to the model for every method that sees pictures alone, and refused for what needs text."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from support.everything import Everything
from support.folders import describing_model, photographs

import fieldmark
from fieldmark.base.errors import UserError
from fieldmark.contract.method import Embeds
from fieldmark.contract.variants import save_model
from fieldmark.exporting import onnx_file
from fieldmark.exporting.onnx_file import TOLERANCE, _equal_tops, export
from fieldmark.exporting.shown import shown_pictures
from fieldmark.trained import TrainedModel

NAMES = ("irt/R", "frpt/FRPT", "frpt/CAH", "cprfl/CPRFL", "cprfl/BCE", "pma/vision", "loca/LOCA")


def saved(name: str, folder: Path) -> TrainedModel:
    """Return a tiny model of a variant with random weights everywhere, read from its folder."""
    method = Everything(folder / "made").make(name).build()
    torch.manual_seed(1)
    for values in method.parameters():
        if not values.any():  # what begins at zero, as FRPT's prompt does, would hide its part
            torch.nn.init.normal_(values, std=0.3)
    save_model(method, folder / "model")
    return fieldmark.load(folder / "model")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_the_model_says_for_any_number_of_pictures(name: str, tmp_path: Path) -> None:
    model, path = saved(name, tmp_path), tmp_path / "model.onnx"
    agreement = export(model, path)
    assert agreement.difference <= TOLERANCE
    assert agreement.equal == 1
    session = onnxruntime.InferenceSession(str(path))
    pixels = np.random.default_rng(3).integers(0, 256, (5, 40, 50, 3), np.uint8)
    images = torch.stack([model.tensor(one) for one in pixels]).numpy()
    for count in (1, 5):
        [got] = session.run(None, {"images": images[:count]})
        if isinstance(model.model, Embeds):
            expected = model.embed(list(pixels[:count])).numpy()
        else:
            expected = np.stack([one.probabilities for one in model.predict(list(pixels[:count]))])
        np.testing.assert_allclose(got, expected, atol=TOLERANCE)
    about = session.get_modelmeta().custom_metadata_map
    assert about["model"] == f"{model.model.name} {model.model.variant.name}"
    if not isinstance(model.model, Embeds):
        assert json.loads(about["class_names"]) == list(model.model.class_names)
    assert onnx.load(path).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.slow
def test_the_users_pictures_are_compared_and_a_file_that_differs_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fieldmark.load(describing_model(tmp_path))
    photos = photographs(tmp_path / "photos", 5)
    (photos / "class 0/damaged.jpg").unlink()
    pictures = shown_pictures(model, [photos])
    assert export(model, tmp_path / "right.onnx", pictures).pictures == 5
    monkeypatch.setattr(onnx_file, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="it was not kept"):
        export(model, tmp_path / "wrong.onnx", pictures)
    assert not [path for path in tmp_path.iterdir() if "wrong" in path.name]


@pytest.mark.parametrize("name", ["pma/PMA", "pma/text"])
def test_a_model_that_reads_text_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path)
    with pytest.raises(UserError, match="reads phrases") as caught:
        export(model, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


def test_the_name_of_a_file_ends_as_its_format_does(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end with \.onnx"):
        export(fieldmark.load(describing_model(tmp_path)), tmp_path / "model.pt")


def test_order_counts_where_values_differ_by_more_than_the_tolerance() -> None:
    ours = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5 + TOLERANCE / 2, 0.1]])
    theirs = np.array([[0.8, 0.6, 0.2], [0.5, 0.9, 0.1], [0.6, 0.5, 0.1]])
    assert _equal_tops(theirs, ours, 2) == pytest.approx(2 / 3)
