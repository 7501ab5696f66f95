"""Vectors of words: every published form, means over the words of a name, and one line for what is damaged."""

import gzip

import numpy as np
import pytest
import torch
from support.classes import class_manifest

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.prompting import words as reader
from fieldmark.prompting.schema import PromptParams, VectorsParams
from fieldmark.prompting.vectors import given_prompts
from fieldmark.prompting.words import read_words

MANIFEST = class_manifest([None] * 2, [["car", "traffic_light"], ["TV-set", "pottedplant"]])
ENTRIES = {
    ",": [9.0, 9.0, 9.0],
    "the": [0.5, 0.5, 0.5],
    "light": [1.0, -2.0, 3.5],
    "car": [4.0, 5.0, -6.0],
    "cart": [7.0, 7.0, 7.0],
    "traffic": [3.0, 0.0, 0.5],
    "tv": [1.0, 1.0, 1.0],
    "set": [0.0, 2.0, 4.0],
    "potted": [8.0, 0.0, 0.0],
    "plant": [0.0, 8.0, 0.0],
}
MORE = {"pottedplant": "potted plant"}
EXPECTED = {  # in the order of the classes
    "TV-set": [0.5, 1.5, 2.5],
    "car": [4.0, 5.0, -6.0],
    "pottedplant": [4.0, 4.0, 0.0],
    "traffic_light": [2.0, -1.0, 2.0],
}


def glove(entries=ENTRIES):
    return "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in entries.items()).encode()


def word2vec_text(entries=ENTRIES):
    return f"{len(entries)} 3\n".encode() + glove(entries).replace(b"\n", b" \n")


def word2vec_binary(entries=ENTRIES, end=b"\n"):
    rows = (word.encode() + b" " + np.array(row, "<f4").tobytes() + end for word, row in entries.items())
    return f"{len(entries)} 3\n".encode() + b"".join(rows)


FORMS = {
    "glove.txt": glove(),
    "glove.txt.gz": gzip.compress(glove()),
    "w2v.txt": word2vec_text(),
    "fast.vec": word2vec_text(),
    "tabs.txt": glove().replace(b" ", b"\t"),
    "windows.txt": glove().replace(b"\n", b"\r\n"),
    "w2v.bin": word2vec_binary(),
    "google.bin": word2vec_binary(end=b""),  # Google's has no line ends
    "google.bin.gz": gzip.compress(word2vec_binary(end=b"")),
}


def prompts(folder, name, content, words=MORE):
    (folder / name).write_bytes(content)
    return given_prompts(VectorsParams(file=str(folder / name)), MANIFEST, words)


@pytest.mark.parametrize("name", FORMS)
def test_a_class_takes_the_mean_over_the_words_of_its_name(tmp_path, name):
    made = prompts(tmp_path, name, FORMS[name])
    assert made.names == list(EXPECTED)
    torch.testing.assert_close(made.embeddings, torch.tensor(list(EXPECTED.values())))
    torch.testing.assert_close(made.per_template, made.embeddings[None])
    assert made.image_embeddings is None


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_binary_form_is_read_in_parts_of_any_length(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(reader, "CHUNK", chunk)
    rows = prompts(tmp_path, "w2v.bin", FORMS["w2v.bin"]).embeddings
    torch.testing.assert_close(rows, torch.tensor(list(EXPECTED.values())))


def test_a_word_as_it_is_written_goes_before_its_lower_case_and_a_first_one_before_a_second(tmp_path):
    entries = {**ENTRIES, "TV": [3.0, 3.0, 3.0]}
    (tmp_path / "g.txt").write_bytes(glove(entries) + b"car 1 1 1\n")
    made = given_prompts(VectorsParams(file=str(tmp_path / "g.txt")), MANIFEST, MORE).embeddings
    torch.testing.assert_close(made[0], torch.tensor([1.5, 2.5, 3.5]))
    torch.testing.assert_close(made[1], torch.tensor([4.0, 5.0, -6.0]))


def test_words_with_spaces_in_them_are_others(tmp_path):
    """As in GloVe's 840B: a line whose word is "car at example"."""
    (tmp_path / "g.txt").write_bytes(b", 1 2 3\ncar at example 7 7 7\n. . . 1 1 1\n" + glove())
    assert read_words(tmp_path / "g.txt", {"car"})["car"].tolist() == [4.0, 5.0, -6.0]


def test_reading_ends_where_all_is_found(tmp_path):
    (tmp_path / "w.bin").write_bytes(word2vec_binary()[:60] + b"and then the disk was full")
    assert list(read_words(tmp_path / "w.bin", {"the"})) == ["the"]


def test_what_stands_for_a_name_may_be_one_word_of_the_file(tmp_path):
    entries = {**ENTRIES, "traffic_light": [6.0, 6.0, 6.0]}
    made = prompts(tmp_path, "g.txt", glove(entries), {**MORE, "traffic_light": "traffic_light"})
    assert made.embeddings[3].tolist() == [6.0, 6.0, 6.0]


DAMAGED = {
    ("a.txt", b""): "is no file of words: its first line has no word",
    ("a.txt", b"car\n"): "is no file of words: its first line has no word",
    ("a.txt", b"the 1 2 3\ncar 1 2\n"): r"damaged: line 2 has no word with 3 numbers",
    ("a.txt", b"the 1 2 3\ncar 1 x 2\n"): r"damaged: line 2 has no word with 3 numbers",
    ("a.txt", b"12 3\nthe 1 2 3\n"): "announces 12 words and ends after 1; get it again",
    ("a.txt", b"12 0\nthe 1 2 3\n"): "is no file of words",
    ("a.bin", b""): "does not begin with the number of its words",
    ("a.bin", glove()): "does not begin with the number of its words",
    ("a.bin", b"9999999999999999999 3\n"): "does not begin with the number of its words",
    ("a.bin", b"3 999999999\n"): "does not begin with the number of its words",
    ("a.bin", word2vec_binary()[:-20]): r"damaged at word 10 of 10; get it again",
    ("a.bin", b"12 3\n" + b"x" * 30_000): r"damaged at word 1 of 12",
    ("a.txt.gz", b"no packing"): r"is no whole \.gz file",
    ("a.txt.gz", gzip.compress(glove(), mtime=0)[:-9]): r"is no whole \.gz file",
    ("a.bin.gz", gzip.compress(word2vec_binary(), mtime=0)[:60]): r"is no whole \.gz file",
    ("a.txt", glove({**ENTRIES, "car": [0.0, 0.0, 0.0]})): "the vector of 'car' is zero or has a number",
    ("a.txt", glove({**ENTRIES, "car": ["nan", 0.0, 0.0]})): "the vector of 'car' is zero or has a number",
    ("a.bin", word2vec_binary({**ENTRIES, "set": [np.inf, 0, 0]})): "the vector of 'TV-set' is zero or has",
}


@pytest.mark.parametrize(
    ("given", "message"), [(*item,) for item in DAMAGED.items()], ids=range(len(DAMAGED))
)
def test_a_damaged_file_is_one_line(tmp_path, monkeypatch, given, message):
    monkeypatch.setattr(reader, "CHUNK", 4096)
    with pytest.raises(UserError, match=message) as caught:
        prompts(tmp_path, *given)
    assert "\n" not in str(caught.value)


def test_a_line_without_an_end_is_no_line(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "LONGEST_LINE", 100)
    with pytest.raises(UserError, match="line 2 does not end"):
        prompts(tmp_path, "a.txt", b"the 1 2 3\n" + b"car " * 100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, r"lacks 'pottedplant' of class 'pottedplant'; say in `words`.*words: {pottedplant: words that"),
        ({"pottedplant": "flower pot"}, "lacks 'flower' of class 'pottedplant'"),
        ({"pottedplant": " "}, "class 'pottedplant' has no word to look up"),
        ({**MORE, "cat": "cat"}, "words says what stands for 'cat', which is no class of the data set"),
    ],
)
def test_a_name_without_a_word_is_one_line(tmp_path, words, message):
    with pytest.raises(UserError, match=message) as caught:
        prompts(tmp_path, "g.txt", glove(), words)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*none\.txt"):
        given_prompts(VectorsParams(file=str(tmp_path / "none.txt")), MANIFEST)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": {"file": "g.txt", "names": "n.txt"}}, "has its words in it, so that there are no names"),
        ({"vectors": {"file": "v.npy"}}, r"v\.npy wants a file of names, one a line"),
        ({"vectors": {"file": "v.npy", "names": "n.txt"}, "words": {"a": "b"}}, "vectors names none"),
        ({"clip": "small", "words": {"a": "b"}}, "vectors names none"),
        ({"vectors": {"file": "g.txt.gz"}, "templates": ["{}"]}, "templates and text are for a CLIP"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        parse(PromptParams, {"dataset": "scenes", "clip": "none", **changes}, "prompts.words")
    assert "\n" not in str(caught.value)
