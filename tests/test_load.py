"""`fieldmark.load`: pictures of every kind give the descriptor that evaluation saw."""

import copy
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.pictures import encoded, noise
from support.tiny import SIDE, make_task

import fieldmark
from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import save_model
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
ABSENT = "absent"


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


def upright(name: str) -> tuple[bytes, np.ndarray]:
    """A file of one of the kinds that look otherwise when only their stored values are read, and its right pixels."""
    pixels = noise(0)
    if name == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        return encoded(pixels, "PNG", exif=exif), np.rot90(pixels, -1)
    if name == "see-through":
        opaque = np.where(pixels[..., :1] > 99, 255, 0).astype(np.uint8)
        return encoded(np.concatenate([pixels, opaque], axis=2)), np.where(opaque, pixels, 255)
    if name == "palette":
        places = np.arange(40 * 48, dtype=np.uint8).reshape(40, 48) % 2
        palette = Image.fromarray(places).convert("P")
        palette.putpalette([200, 30, 60, 9, 9, 9])
        colours = np.array([[200, 30, 60], [255, 255, 255]], np.uint8)
        return encoded(palette, "PNG", transparency=1), colours[places]
    deep = np.linspace(0, 65535, 40 * 48).astype(np.uint16).reshape(40, 48)
    return encoded(Image.fromarray(deep)), np.round(deep / 257)[..., None].repeat(3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", ["turned", "see-through", "palette", "sixteen bit"])
def test_path_bytes_and_opened_picture_are_decoded_alike(folder: Path, tmp_path: Path, name: str) -> None:
    data, pixels = upright(name)
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    model = fieldmark.load(folder)
    expected = model.embed(np.ascontiguousarray(pixels))
    for same in (path, data, Image.open(path), Image.open(io.BytesIO(data))):
        torch.testing.assert_close(model.embed(same), expected)


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
    shapes = [(4, 4), (4, 4, 1), (4, 4, 4), (3, 4, 4), (2, 4, 4, 3), (0, 4, 3), ()]
    arrays = [np.zeros(shape, np.uint8) for shape in shapes] + [np.zeros((4, 4, 3), np.float32)]
    cut = Image.open(io.BytesIO(encoded(noise(0))[:-200]))
    far = Image.fromarray(np.full((4, 4), 1 << 20, np.int32))
    paths = [tmp_path / "no.jpg", tmp_path / "absent.jpg", tmp_path, "a\0b"]
    for wrong in ([], *paths, b"", *arrays, cut, far, None, 3, [None], [[1, 2], [3]], torch.zeros(3, 4, 4)):
        with pytest.raises(UserError) as caught:
            model.embed(wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no trained model"):
        fieldmark.load(tmp_path)


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json"])
@pytest.mark.parametrize("damage", ["absent", "pointer", "empty", "cut", "other"])
def test_a_damaged_folder_is_refused_in_one_line(folder: Path, file: str, damage: str) -> None:
    path = folder / file
    whole = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(
            {"pointer": POINTER, "empty": b"", "cut": whole[: len(whole) // 2], "other": b"[]"}[damage]
        )
    with pytest.raises(UserError) as caught:
        fieldmark.load(folder)
    assert str(path) in str(caught.value) or damage == "absent"
    assert ("Git LFS, not the file" in str(caught.value)) == (damage == "pointer")
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused_in_one_line(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    name = next(name for name in weights if name.endswith("patch_embed.proj.weight"))
    for wrong in ({**weights, name: torch.zeros(3)}, {key: weights[key] for key in weights if key != name}):
        save_file(wrong, folder / "weights.safetensors")
        with pytest.raises(UserError) as caught:
            fieldmark.load(folder)
        assert "\n" not in str(caught.value)


def test_each_damaged_field_of_the_description_is_harmless_or_refused_in_one_line(folder: Path) -> None:
    path, pixels = folder / "model.json", np.zeros((8, 8, 3), np.uint8)
    content = json.loads(path.read_text())
    expected = fieldmark.load(folder).embed(pixels)
    messages = []
    fields = [(key,) for key in content] + [
        ("description", "backbone", key) for key in content["description"]["backbone"]
    ]
    for field in [*fields, ("description", "backbone")]:
        for damage in (ABSENT, None, "nonsense", -1, [], {}):
            path.write_text(json.dumps(damaged(content, field, damage)))
            try:
                assert torch.equal(fieldmark.load(folder).embed(pixels), expected)
            except UserError as error:
                messages.append(str(error))
    assert len(messages) > 50
    assert not [message for message in messages if "\n" in message]


def damaged(content: dict[str, Any], field: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a copy of a description with another value in a field, or without it."""
    changed: dict[str, Any] = copy.deepcopy(content)
    inner = changed
    for key in field[:-1]:
        inner = inner[key]
    inner.pop(field[-1])
    if value != ABSENT:
        inner[field[-1]] = value
    return changed


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
