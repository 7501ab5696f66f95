"""Category vectors of a file: matched by name, and refused in one line."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.classes import class_manifest

from fieldmark.base.errors import UserError
from fieldmark.prompting.schema import VectorsParams
from fieldmark.prompting.vectors import given_prompts

MANIFEST = class_manifest([None] * 3, [["car", "traffic_light"], ["bench"], ["car"]])
NAMES = ["traffic_light", "bicycle", "car", "bench"]  # another order than the classes', and one more
ROWS = np.array([[1.0, 2.0], [9.0, 9.0], [3.0, 4.0], [5.0, 6.0]])
IN_ORDER = torch.tensor([[5.0, 6.0], [3.0, 4.0], [1.0, 2.0]])  # bench, car, traffic_light


def given(folder, rows=ROWS, names=NAMES, file="v.npy"):
    (folder / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    if file.endswith(".npy"):
        np.save(folder / file, rows, allow_pickle=True)
    return given_prompts(VectorsParams(file=str(folder / file), names=str(folder / "names.txt")), MANIFEST)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32])
def test_a_class_takes_the_row_of_its_name(tmp_path, kind):
    prompts = given(tmp_path, ROWS.astype(kind))
    assert prompts.names == ["bench", "car", "traffic_light"]
    torch.testing.assert_close(prompts.embeddings, IN_ORDER)
    torch.testing.assert_close(prompts.per_template, IN_ORDER[None])
    assert prompts.image_embeddings is None


def test_safetensors_say_the_same_in_any_precision(tmp_path):
    save_file({"text": torch.from_numpy(ROWS).bfloat16()}, tmp_path / "v.safetensors")
    torch.testing.assert_close(given(tmp_path, file="v.safetensors").embeddings, IN_ORDER)


def with_value(row, value):
    rows = ROWS.copy()
    rows[row] = value
    return rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ROWS[:3]}, r"v\.npy holds 3 vectors, but .*names\.txt 4 names$"),
        (
            {"names": ["car", "bench", "bicycle", "lamp"]},
            r"names\.txt lacks 1 of 3 classes, first 'traffic_l",
        ),
        ({"names": ["car", "bench", "traffic_light", "car"]}, r"names\.txt names 'car' more than once$"),
        (
            {"rows": with_value(2, np.nan)},
            r"v\.npy: the vector of 'car' is zero or has a number that is not f",
        ),
        (
            {"rows": with_value(2, 1e300)},
            "the vector of 'car' is zero or has a number",
        ),  # infinite in float32
        ({"rows": with_value(3, 0.0)}, "the vector of 'bench' is zero"),
        ({"rows": ROWS[:, 0]}, r"must hold real numbers in the shape \(classes, dim\); its shape is \(4,\)$"),
        ({"rows": ROWS[:, :0]}, r"its shape is \(4, 0\)"),
        ({"rows": ROWS * 1j}, "must hold real numbers"),
        (
            {"rows": ROWS.astype(object)},
            r"v\.npy is no \.npy file of numbers: Object arrays cannot be loaded",
        ),
        ({"rows": np.array(["a", "b"])}, r"v\.npy is no \.npy file of numbers"),
        ({"file": "v.pt"}, r"there is no file .*v\.pt"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        given(tmp_path, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("w.npy", b"half a file", r"w\.npy is no \.npy file of numbers"),
        ("w.npy", b"", r"w\.npy is no \.npy file of numbers"),
        ("w.safetensors", b"half a file", r"w\.safetensors is no \.safetensors file"),
        ("w.pt", b"", r"w\.pt is neither \.npy nor \.safetensors"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, file, content, message):
    (tmp_path / "names.txt").write_text("car\n")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        given_prompts(VectorsParams(file=str(tmp_path / file), names=str(tmp_path / "names.txt")), MANIFEST)
    assert "\n" not in str(caught.value)


def test_other_classes_may_have_vectors_that_are_not_finite(tmp_path):
    torch.testing.assert_close(given(tmp_path, with_value(1, np.inf)).embeddings, IN_ORDER)


def test_several_tensors_leave_open_which(tmp_path):
    save_file({"a": torch.ones(4, 2), "b": torch.ones(4, 2)}, tmp_path / "v.safetensors")
    with pytest.raises(UserError, match=r"v\.safetensors must hold one tensor, it holds 2"):
        given(tmp_path, file="v.safetensors")


def test_names_in_another_encoding_are_refused(tmp_path):
    np.save(tmp_path / "v.npy", ROWS)
    (tmp_path / "names.txt").write_bytes("b\u00e9".encode("latin-1"))
    with pytest.raises(UserError, match=r"names\.txt is no text in UTF-8"):
        given_prompts(
            VectorsParams(file=str(tmp_path / "v.npy"), names=str(tmp_path / "names.txt")), MANIFEST
        )
