"""Class names into text space: what is computed, and what is cached."""

import pytest
import torch
from support.clips import tiny_clip

from fieldmark.textcache.cache import TextCache

TEMPLATES = ["a photo of a {}.", "a drawing of a {}."]


class Counting:
    """An encoder that remembers what it was asked."""

    def __init__(self):
        self.clip, self.asked = tiny_clip(), []

    def __call__(self, texts):
        self.asked += texts
        return self.clip.encode_texts(texts)


@pytest.fixture
def encode():
    return Counting()


def test_each_row_is_the_text_tower_on_its_sentence(tmp_path, encode):
    vectors = TextCache(tmp_path, "key").embed(TEMPLATES, ["duck", "traffic_light"], encode)
    assert (vectors.shape, vectors.dtype) == ((2, 2, 8), torch.float32)
    for t, words in enumerate(["a photo of a {}.", "a drawing of a {}."]):
        for c, name in enumerate(["duck", "traffic light"]):
            alone = encode.clip.encode_texts([words.format(name)])[0]
            torch.testing.assert_close(vectors[t, c], alone, atol=0, rtol=0)


def test_a_changed_name_computes_that_name_only(tmp_path, encode):
    first = TextCache(tmp_path, "key").embed(TEMPLATES, ["duck", "gull", "car"], encode)
    assert len(encode.asked) == 6
    encode.asked.clear()
    second = TextCache(tmp_path, "key").embed(TEMPLATES, ["car", "swan", "duck"], encode)
    assert encode.asked == ["a photo of a swan.", "a drawing of a swan."]
    assert torch.equal(second[:, [2, 0]], first[:, [0, 2]])
    encode.asked.clear()
    third = TextCache(tmp_path, "key").embed([*TEMPLATES, "{}"], ["duck"], encode)
    assert encode.asked == ["duck"]
    assert torch.equal(third[:2], first[:, :1])


def test_the_result_does_not_depend_on_what_was_cached(tmp_path, encode):
    TextCache(tmp_path / "warm", "key").embed(TEMPLATES, ["gull"], encode)
    warm = TextCache(tmp_path / "warm", "key").embed(TEMPLATES, ["duck", "gull"], encode)
    cold = TextCache(tmp_path / "cold", "key").embed(TEMPLATES, ["duck", "gull"], encode)
    assert torch.equal(warm, cold)


def test_another_clip_shares_nothing(tmp_path, encode):
    TextCache(tmp_path, "one").embed(TEMPLATES, ["duck"], encode)
    encode.asked.clear()
    TextCache(tmp_path, "two").embed(TEMPLATES, ["duck"], encode)
    assert len(encode.asked) == 2


def test_a_name_that_occurs_twice_is_computed_once(tmp_path, encode):
    vectors = TextCache(tmp_path, "key").embed(["{}"], ["duck", "duck"], encode)
    assert encode.asked == ["duck"]
    assert torch.equal(vectors[0, 0], vectors[0, 1])


def test_a_damaged_cache_is_made_again(tmp_path, encode):
    cache = TextCache(tmp_path, "key")
    first = cache.embed(TEMPLATES, ["duck"], encode)
    cache.path.write_bytes(b"half a file")
    assert torch.equal(TextCache(tmp_path, "key").embed(TEMPLATES, ["duck"], encode), first)


def test_a_kill_while_writing_leaves_the_cache_of_before(tmp_path, encode, monkeypatch):
    TextCache(tmp_path, "key").embed(["{}"], ["duck"], encode)

    def killed(tensors, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.textcache.cache.save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        TextCache(tmp_path, "key").embed(["{}"], ["gull"], encode)
    monkeypatch.undo()
    encode.asked.clear()
    TextCache(tmp_path, "key").embed(["{}"], ["duck"], encode)
    assert encode.asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["key.safetensors"]
