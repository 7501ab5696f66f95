"""Classes of a data set as texts, and their embeddings with those of the pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.classes import class_manifest as manifest
from support.clips import SIDE, tiny_clip

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter
from fieldmark.prompting.prompting import class_texts, make_prompts
from fieldmark.prompting.schema import PromptParams
from fieldmark.runtime.params import RuntimeParams
from fieldmark.towers.clip import save_clip

RUNTIME = RuntimeParams(device="cpu", workers=0)
VECTORS = {"file": "v.npy", "names": "names.txt"}
SEVERAL = manifest([None] * 3, [["car", "traffic_light"], ["bench"], ["car"]])
BIRDS = manifest(
    ["Masked Talbit", "Banded Corvane", "Masked Talbit"],
    attributes=[{"shape": "wren", "side": 1}, {"shape": "crow", "side": 1}, {"shape": "wren", "side": 2}],
)


def test_classes_are_the_labels_or_the_class_names_in_order():
    assert class_texts(SEVERAL, "{name}") == {
        "bench": "bench",
        "car": "car",
        "traffic_light": "traffic light",
    }
    assert list(class_texts(BIRDS, "{name}")) == ["Banded Corvane", "Masked Talbit"]


def test_a_text_may_tell_what_all_pictures_of_a_class_share():
    assert class_texts(BIRDS, "{name}, a {shape}") == {
        "Banded Corvane": "Banded Corvane, a crow",
        "Masked Talbit": "Masked Talbit, a wren",
    }
    with pytest.raises(UserError, match="class 'Masked Talbit' has no 'side' that all its pictures share"):
        class_texts(BIRDS, "{shape} {side}")
    with pytest.raises(UserError, match="class 'bench' has no 'shape'"):
        class_texts(SEVERAL, "{shape}")
    with pytest.raises(UserError, match="names no classes"):
        class_texts(manifest([None]), "{name}")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "data", "raw") as writer:
        for _ in range(3):
            writer.add(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    return ImageStore.open(tmp_path / "data")


def make(store, tmp_path, table, **changes):
    save_clip(tiny_clip(), tmp_path / "clip")
    params = parse(PromptParams, {"dataset": "d", "clip": "c", **changes}, "prompts.p")
    return make_prompts(params, tmp_path / "clip", store, table, RUNTIME, tmp_path / "cache")


def test_embeddings_are_the_mean_over_templates(store, tmp_path):
    templates = ["a photo of a {}.", "a {}"]
    prompts, texts = make(store, tmp_path, SEVERAL, templates=templates)
    assert prompts.names == list(texts) == ["bench", "car", "traffic_light"]
    assert prompts.per_template.shape == (2, 3, 8)
    by_hand = tiny_clip().encode_texts(["a photo of a traffic light.", "a traffic light"])
    torch.testing.assert_close(prompts.per_template[:, 2], by_hand)
    torch.testing.assert_close(prompts.embeddings[2], by_hand.mean(0))
    assert prompts.image_embeddings is None


def test_pictures_come_in_the_order_of_their_rows(store, tmp_path):
    shuffled = SEVERAL.iloc[[2, 0, 1]]
    prompts, _ = make(store, tmp_path, shuffled, zero_shot=True)
    pixels = torch.stack([torch.from_numpy(store[row].copy()).permute(2, 0, 1) for row in range(3)])
    torch.testing.assert_close(prompts.image_embeddings, tiny_clip().encode_images(pixels))


def test_the_default_template_is_the_papers(store, tmp_path):
    prompts, _ = make(store, tmp_path, SEVERAL)
    torch.testing.assert_close(
        prompts.embeddings[1], tiny_clip().encode_texts(["a photo of a car."])[0], atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"templates": ["a photo"]}, "needs one {}"),
        ({"text": "a bird"}, "must name what stands for a class"),
        ({"text": "{}"}, "must name what stands for a class"),
        ({"vectors": VECTORS, "zero_shot": True}, "zero_shot needs a CLIP, and vectors come without one"),
        ({"vectors": VECTORS, "templates": ["{}"]}, "templates and text are for a CLIP"),
        ({"vectors": VECTORS, "text": "{name}"}, "templates and text are for a CLIP"),
        ({"temperature": 1}, "unknown parameter prompts.p.temperature"),
    ],
)
def test_wrong_parameters_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        parse(PromptParams, {"dataset": "d", "clip": "c", **changes}, "prompts.p")
