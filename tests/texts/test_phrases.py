"""Phrases as files and as numbers."""

import pandas as pd
import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.texts.phrases import Phrases, build_vocabulary, encode, read_phrases, write_phrases

WORDS = ["<pad>", "<unk>", "bill", "short", "orange"]


@pytest.fixture
def phrases():
    frame = pd.DataFrame(
        {
            "id": ["a/1", "b/2", "b/3"],
            "row": [0, 1, 2],
            "phrases": [["short orange bill", "éye"], [], ["bill"]],
            "captions": [[[0, 2], [1]], [], [[0]]],
        }
    )
    return Phrases(frame, WORDS)


def test_what_is_read_is_what_was_written(tmp_path, phrases):
    write_phrases(phrases, tmp_path)
    again = read_phrases(tmp_path)
    pd.testing.assert_frame_equal(again.frame, phrases.frame)
    assert again.vocabulary == WORDS
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    write_phrases(again, tmp_path)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before


@pytest.mark.parametrize("name", ["phrases.parquet", "vocabulary.txt"])
def test_absent_and_damaged_files_are_one_line(tmp_path, phrases, name):
    write_phrases(phrases, tmp_path)
    (tmp_path / name).write_text("bill\n")
    with pytest.raises(UserError, match=f"{name} is damaged; delete it and run `phrases` first"):
        read_phrases(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name} does not exist; run `phrases` first"):
        read_phrases(tmp_path)


def test_vocabulary_counts_words_and_sorts_by_count_then_spelling():
    pictures = [["red bill", "red eye"], ["grey bill", "wing"], ["wing", "eye"]]
    assert build_vocabulary(pictures, 2) == ["<pad>", "<unk>", "bill", "eye", "red", "wing"]
    assert build_vocabulary(pictures, 1) == ["<pad>", "<unk>", "bill", "eye", "red", "wing", "grey"]
    assert build_vocabulary([["a a a"], []], 3) == ["<pad>", "<unk>", "a"]
    assert build_vocabulary([], 1) == ["<pad>", "<unk>"]


def test_words_become_their_numbers_padded_with_zero():
    encoded = encode([["short orange bill", "bill"], [], ["blue bill"]], WORDS)
    assert encoded.dtype == torch.int64
    assert encoded.tolist() == [
        [[3, 4, 2], [2, 0, 0]],
        [[0, 0, 0], [0, 0, 0]],
        [[1, 2, 0], [0, 0, 0]],
    ]


def test_given_sizes_pad_and_cut_phrases_at_the_end_and_words_at_the_start():
    assert encode([["short orange bill", "bill"]], WORDS, 1, 2).tolist() == [[[4, 2]]]
    assert encode([["bill"]], WORDS, 2, 3).tolist() == [[[2, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize(("pictures", "shape"), [([], (0, 1, 1)), ([[]], (1, 1, 1)), ([[], []], (2, 1, 1))])
def test_no_phrase_at_all_still_has_a_shape(pictures, shape):
    encoded = encode(pictures, WORDS)
    assert encoded.shape == shape
    assert not encoded.any()
