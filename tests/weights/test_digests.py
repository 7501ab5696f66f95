"""Digests: a changed file of weights changes one small file, by which DVC notices it."""

import json

import pytest

from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file
from fieldmark.configuration.configuration import Configuration
from fieldmark.weights.digests import write_digests


def digests(tmp_path, **items):
    configuration = Configuration({"backbones": items, "clip_models": {"real": {"pretrained": "openai"}}})
    write_digests(configuration, tmp_path / "weights")
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "weights").rglob("*.json")}


def test_a_file_is_known_by_its_content(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"first")
    first = digests(tmp_path, vit={"weights": str(file)}, scratch={"train": {}}, timm={"weights": "library"})
    assert first["vit"] == {"weights": str(file), "sha256": sha256_file(file)}
    assert first["scratch"] == {"weights": None, "sha256": None}
    assert first["timm"] == {"weights": "library", "sha256": None}
    assert first["real"] == {"pretrained": "openai", "sha256": None}
    file.write_bytes(b"second")
    second = digests(tmp_path, vit={"weights": str(file)}, scratch={"train": {}}, timm={"weights": "library"})
    assert second.pop("vit") != first.pop("vit")
    assert second == first


def test_an_item_that_is_gone_leaves_no_digest(tmp_path):
    digests(tmp_path, old={"train": {}})
    assert set(digests(tmp_path, new={"train": {}})) == {"new", "real"}


def test_an_absent_file_is_told_by_its_parameter(tmp_path):
    with pytest.raises(UserError, match=r"backbones\.vit\.weights: .*no\.safetensors does not exist"):
        digests(tmp_path, vit={"weights": "no.safetensors"})


def test_vectors_are_known_by_their_two_files(tmp_path):
    vectors, names = tmp_path / "v.npy", tmp_path / "names"
    vectors.write_bytes(b"vectors")
    names.write_text("wren\n")
    given = {"file": str(vectors), "names": str(names)}
    prompts = {"given": {"vectors": given}, "clip": {"clip": "small"}}
    write_digests(Configuration({"prompts": prompts}), tmp_path / "weights")
    told = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "weights/prompts").iterdir()}
    assert told["given"]["sha256"] == {"file": sha256_file(vectors), "names": sha256_file(names)}
    assert told["clip"] == {"vectors": None, "sha256": None}
    words = {"file": str(vectors), "names": None}
    write_digests(Configuration({"prompts": {"words": {"vectors": words}}}), tmp_path / "words")
    told = json.loads((tmp_path / "words/prompts/words.json").read_text())
    assert told["sha256"] == {"file": sha256_file(vectors), "names": None}
    vectors.unlink()
    with pytest.raises(UserError, match=r"^prompts\.given\.vectors\.file: file .*v\.npy does not exist"):
        write_digests(Configuration({"prompts": prompts}), tmp_path / "weights")


def test_a_clip_is_known_by_the_weights_that_its_image_tower_starts_from(tmp_path):
    file = tmp_path / "resnet.safetensors"
    file.write_bytes(b"first")
    write_digests(Configuration({"clip_models": {"lit": {"image_weights": str(file)}}}), tmp_path / "weights")
    told = json.loads((tmp_path / "weights/clip_models/lit.json").read_text())
    assert told == {"image_weights": str(file), "sha256": sha256_file(file)}
    file.unlink()
    with pytest.raises(UserError, match=r"clip_models\.lit\.image_weights: file .* does not exist"):
        write_digests(
            Configuration({"clip_models": {"lit": {"image_weights": str(file)}}}), tmp_path / "weights"
        )
