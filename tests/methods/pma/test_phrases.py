"""Phrases of pictures: looked up in the order of the split, encoded by length, drawn by caption."""

from collections.abc import Iterator
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from fieldmark.base.errors import UserError
from fieldmark.engine.task import Subset, Task
from fieldmark.methods.pma.model.phrases import (
    PhraseEncoder,
    phrase_table,
    read_task_phrases,
    some_captions,
)
from fieldmark.texts.phrases import Phrases

WORDS = ["<pad>", "<unk>", "red", "wings", "bill", "long"]


@pytest.fixture
def phrases() -> Phrases:
    frame = pd.DataFrame({"id": list("abc"), "row": [0, 1, 2]})
    frame["phrases"] = [["red wings", "long bill"], [], ["bill", "odd wings", "red bill"]]
    frame["captions"] = [[[0, 2], [1]], [], [[2], [0], [1, 2]]]
    return Phrases(frame, WORDS)


def subset(*rows: int) -> Subset:
    return Subset(pd.DataFrame({"row": rows}))


def test_a_table_follows_the_subset(phrases: Phrases) -> None:
    table = phrase_table(phrases, subset(2, 0, 1), WORDS)
    assert table.texts == (("bill", "odd wings", "red bill"), ("red wings", "long bill"), ())
    assert table.tokens.tolist() == [
        [[4, 0], [1, 3], [2, 4]],
        [[2, 3], [5, 4], [0, 0]],
        [[0, 0], [0, 0], [0, 0]],
    ]
    assert table.spoken[0].tolist() == [[False, False, True], [True, False, False], [False, True, True]]
    assert not table.spoken[2].any()


def test_only_the_given_captions_speak(phrases: Phrases) -> None:
    assert phrase_table(phrases, subset(2, 0), WORDS, given=1).texts == (("odd wings",), ("red wings",))
    assert phrase_table(phrases, subset(2), WORDS, given=2).texts == (("odd wings", "red bill"),)
    assert phrase_table(phrases, subset(2), WORDS, given=2).spoken.shape == (1, 2, 3)


def test_a_picture_without_phrases_in_the_file_is_named(phrases: Phrases) -> None:
    with pytest.raises(UserError, match="lacks picture 7"):
        phrase_table(phrases, subset(0, 7), WORDS)


def test_a_phrase_is_the_state_after_its_last_word() -> None:
    torch.manual_seed(0)
    encoder = PhraseEncoder(6, 3, 4)
    tokens = torch.tensor([[[2, 3, 0], [4, 0, 0], [0, 0, 0]], [[2, 5, 4], [2, 3, 0], [4, 0, 0]]])
    vectors, valid = encoder(tokens)
    assert valid.tolist() == [[True, True, False], [True, True, True]]
    for b in range(2):
        for j in range(3):
            words = [word for word in tokens[b, j].tolist() if word]
            if not words:
                assert vectors[b, j].tolist() == [0] * 4
                continue
            _, (state, _) = encoder.lstm(encoder.embed(torch.tensor([words])))
            torch.testing.assert_close(vectors[b, j], state[0, 0])
    vectors.sum().backward()
    assert encoder.embed.weight.grad is not None
    assert (encoder.embed.weight.grad[[0, 1]] == 0).all()
    assert (encoder.embed.weight.grad[2:].abs().sum(1) > 0).all()


def test_all_empty_text_gives_no_phrase() -> None:
    vectors, valid = PhraseEncoder(6, 3, 4)(torch.zeros(2, 3, 2, dtype=torch.long))
    assert not valid.any()
    assert (vectors == 0).all()


def test_a_shared_phrase_may_be_encoded_once_or_every_time() -> None:
    torch.manual_seed(0)
    encoder = PhraseEncoder(words=50, word_dim=8, phrase_dim=12)
    rows = torch.randint(50, (40, 5))[torch.randint(40, (90,))]
    weights = torch.randn(90, 12)
    vectors, gradients = [], []
    for encode in (encoder.encode_distinct, encoder.encode_all):
        encoder.zero_grad()
        vectors.append(encode(rows))
        (vectors[-1] * weights).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters()])
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-6, rtol=0)
    for of_distinct, of_all in zip(*gradients, strict=True):
        torch.testing.assert_close(of_distinct, of_all, atol=1e-5, rtol=1e-5)


def test_no_device_is_asked_how_many_phrases_differ() -> None:
    """A tensor without values has the shapes of a device's, and tells nothing that a step would wait for."""
    with FakeTensorMode(), torch.backends.cudnn.flags(enabled=False), torch.device("cuda"):
        encoder = PhraseEncoder(words=50, word_dim=8, phrase_dim=12)
        tokens = torch.zeros(4, 7, 5, dtype=torch.long)
        vectors, valid = encoder(tokens)
        assert (vectors.shape, valid.shape) == ((4, 7, 12), (4, 7))
        with pytest.raises(DynamicOutputShapeException):
            encoder.encode_distinct(tokens[0])


def test_captions_are_drawn_at_random_and_keep_what_they_say(phrases: Phrases) -> None:
    table = phrase_table(phrases, subset(2, 0, 1), WORDS)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        kept = some_captions(table.tokens, table.spoken, 1)[..., 0] != 0
        seen.add(tuple(kept[0].tolist()))
        assert kept[1].sum() == 1
        assert not kept[2].any()
    # captions 0, 1 and 2 of the first picture
    assert seen == {(False, True, False), (False, False, True), (True, False, True)}
    assert torch.equal(some_captions(table.tokens, table.spoken, 9), table.tokens)


def test_no_text_says_what_to_do(task: Task, tmp_path) -> None:
    with pytest.raises(UserError, match=r"methods\.pma\.text names none"):
        read_task_phrases(SimpleNamespace(text=tmp_path / "none"))


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_gradients_are_the_same_bits_every_time() -> None:
    """Pictures share phrases; the gradient of a shared one is summed in one order, whatever the threads do."""
    torch.manual_seed(0)
    encoder = PhraseEncoder(words=200, word_dim=64, phrase_dim=128)
    tokens = torch.randint(1, 200, (400, 5))[torch.randint(400, (32, 17))]
    weights = torch.randn(32, 17, 128)

    def gradients() -> list[torch.Tensor]:
        encoder.zero_grad()
        (encoder(tokens)[0] * weights).sum().backward()
        return [p.grad.clone() for p in encoder.parameters() if p.grad is not None]

    first = gradients()
    assert all(torch.equal(a, b) for _ in range(10) for a, b in zip(first, gradients(), strict=True))
