"""Phrases into a CLIP's text space: each once, of unit length, as files beside the phrases."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from support.clips import tiny_clip
from torch.nn.functional import normalize

from fieldmark.base.errors import UserError
from fieldmark.language.embedding import embed_phrases
from fieldmark.texts.phrases import PhraseVectors, read_vectors, write_vectors
from fieldmark.towers.clip import save_clip

FOUND = [["red wings", "small bill"], [], ["small bill", "éye"]]


@pytest.fixture
def clip(tmp_path):
    save_clip(tiny_clip(), tmp_path / "clip")
    return tmp_path / "clip"


def test_each_distinct_phrase_is_the_text_tower_on_it(tmp_path, clip):
    found = embed_phrases(FOUND, clip, tmp_path / "cache")
    assert found.phrases == ["red wings", "small bill", "éye"]
    assert (found.vectors.shape, found.vectors.dtype) == ((3, 8), np.float16)
    for phrase, vector in zip(found.phrases, found.vectors, strict=True):
        alone = normalize(tiny_clip().encode_texts([phrase]), dim=1)[0]
        torch.testing.assert_close(torch.from_numpy(vector), alone.half(), rtol=0, atol=0)
    again = embed_phrases(FOUND[::-1], clip, tmp_path / "cache")
    assert again.phrases == found.phrases
    assert (again.vectors == found.vectors).all()


@pytest.mark.parametrize("found", [[], [[], []]])
def test_no_phrase_gives_no_row(tmp_path, clip, found):
    vectors = embed_phrases(found, clip, tmp_path / "cache")
    assert (vectors.phrases, vectors.vectors.shape) == ([], (0, 8))
    write_vectors(vectors, tmp_path)
    assert read_vectors(tmp_path).vectors.shape == (0, 8)


def test_an_absent_clip_names_the_stage(tmp_path):
    with pytest.raises(UserError, match="holds no CLIP; run dvc repro clip@small"):
        embed_phrases(FOUND, tmp_path / "small", tmp_path / "cache")


def test_what_is_read_is_what_was_written(tmp_path):
    assert read_vectors(tmp_path) is None
    vectors = PhraseVectors(["a", "éye"], np.array([[0.6, 0.8], [1, 0]], np.float16))
    write_vectors(vectors, tmp_path)
    found = read_vectors(tmp_path)
    assert found.phrases == vectors.phrases
    assert (found.vectors == vectors.vectors).all()


@pytest.mark.parametrize("content", [None, {"other": np.ones((2, 2))}, {"vectors": np.ones((3, 2))}])
def test_damaged_vectors_are_one_line(tmp_path, content):
    write_vectors(PhraseVectors(["a", "b"], np.ones((2, 2), np.float16)), tmp_path)
    if content is None:
        (tmp_path / "vectors.safetensors").write_text("x")
    else:
        save_file(content, tmp_path / "vectors.safetensors")
    with pytest.raises(
        UserError, match=r"vectors\.safetensors is damaged; delete it and run `phrases` first"
    ):
        read_vectors(tmp_path)
