"""Phrases as PMA reads them: word numbers per picture, and one vector per phrase."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.engine.task import Subset, Task
from fieldmark.methods.pma.model.params import NO_PHRASES, NO_VECTORS, NONE
from fieldmark.texts.phrases import PADDING, UNKNOWN, Phrases, encode, read_phrases, read_vectors


@dataclass(frozen=True)
class PhraseTable:
    """The phrases of N pictures: `tokens` (N, n, w) word numbers, 0 where there is none; w is 1 for whole phrases.

    `spoken` (N, n, c) tells which of a picture's captions says a phrase; `texts` holds the phrases.
    """

    tokens: Tensor
    spoken: Tensor
    texts: tuple[tuple[str, ...], ...]


def read_task_phrases(task: Task) -> Phrases:
    """Read the phrases of the task's text. Raises UserError when it has none."""
    if task.text.name == NONE:
        raise UserError(NO_PHRASES)
    return read_phrases(task.text)


def read_task_vectors(task: Task) -> tuple[list[str], Tensor]:
    """Read the P phrases that a CLIP embedded: a vocabulary of whole phrases, and their vectors (P + 2, m).

    Padding and the unknown phrase, which come first, are zero. Raises UserError when the text has no vectors.
    """
    embedded = read_vectors(task.text)
    if embedded is None:
        raise UserError(NO_VECTORS.format(task.text.name))
    vectors = torch.from_numpy(embedded.vectors)
    return [PADDING, UNKNOWN, *embedded.phrases], torch.cat([vectors.new_zeros(2, vectors.shape[1]), vectors])


def phrase_table(
    phrases: Phrases,
    subset: Subset,
    vocabulary: Sequence[str],
    given: int | None = None,
    whole: bool = False,
) -> PhraseTable:
    """Return the phrases of the pictures of `subset`, in its order; `whole`: `vocabulary` has phrases, not words.

    With `given`, only those that one of a picture's first `given` captions says. Raises UserError for a
    picture that `phrases` lacks.
    """
    said = _said(phrases, subset, given)
    texts = tuple(tuple(text for text, _ in pairs) for pairs in said)
    tokens = encode(texts, vocabulary, whole=whole)
    count = max((max(captions) + 1 for pairs in said for _, captions in pairs), default=1)
    spoken = np.zeros((*tokens.shape[:2], count), bool)
    for picture, pairs in enumerate(said):
        for index, (_, captions) in enumerate(pairs):
            spoken[picture, index, list(captions)] = True
    return PhraseTable(tokens, torch.from_numpy(spoken), texts)


def _said(phrases: Phrases, subset: Subset, given: int | None) -> list[list[tuple[str, list[int]]]]:
    """Return the phrases of each picture, each with the captions that say it."""
    frame = phrases.frame.set_index("row")
    absent = set(subset.rows.tolist()) - set(frame.index)
    if absent:
        raise UserError(f"the text lacks picture {min(absent)} of the split; run the stage `phrases` again")
    chosen = frame.loc[subset.rows]
    return [
        [
            (text, captions)
            for text, captions in zip(*pair, strict=True)
            if given is None or min(captions) < given
        ]
        for pair in zip(chosen["phrases"], chosen["captions"], strict=True)
    ]


def some_captions(tokens: Tensor, spoken: Tensor, count: int) -> Tensor:
    """Return tokens (B, n, w) without the phrases that none of `count` captions drawn at random says."""
    held = spoken.any(1)  # (B, c): captions that say anything
    order = torch.rand(held.shape, device=held.device).masked_fill(~held, -1.0)
    drawn = torch.zeros_like(held).scatter(1, order.topk(min(count, held.shape[1]), 1).indices, True)
    return tokens * (spoken & drawn[:, None]).any(2, keepdim=True)


class PhraseEncoder(nn.Module):
    """Word embeddings and a one-layer LSTM; a phrase is the hidden state at its last word."""

    def __init__(self, words: int, word_dim: int, phrase_dim: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, word_dim, padding_idx=0)
        self.lstm = nn.LSTM(word_dim, phrase_dim, batch_first=True)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Word numbers (B, n, w) -> phrases (B, n, phrase_dim), zero where there is none, and `valid` (B, n)."""
        # On an accelerator the number of distinct phrases is known only when all earlier work is done: every step
        # would wait for it. There each phrase of the batch is encoded, which costs little beside the backbone.
        encode_rows = self.encode_distinct if tokens.device.type == "cpu" else self.encode_all
        vectors = encode_rows(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        valid = tokens[..., 0] != 0
        return vectors * valid[..., None], valid

    def encode_all(self, rows: Tensor) -> Tensor:
        """Phrases of w word numbers (R, w) -> (R, phrase_dim)."""
        with torch.autocast(rows.device.type, enabled=False):
            hidden, _ = self.lstm(self.embed(rows))
        last = (rows != 0).sum(1).clamp(min=1) - 1
        vectors: Tensor = hidden[torch.arange(len(rows), device=rows.device), last]
        return vectors

    def encode_distinct(self, rows: Tensor) -> Tensor:
        """Return the same, but encode a phrase that several pictures share, as padding is, only once."""
        distinct, index = torch.unique(rows, dim=0, return_inverse=True)
        # By index_select: the gradient of an indexed tensor is summed in no fixed order.
        return self.encode_all(distinct).index_select(0, index)


class ClipPhrases(nn.Module):
    """CLIP's vectors of whole phrases, which never change, and a linear layer; a phrase is one token.

    `table` (P + 2, m) begins with padding and the unknown phrase, as in `read_task_vectors`.
    """

    def __init__(self, table: Tensor, phrase_dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(table, freeze=True, padding_idx=0)
        self.project = nn.Linear(table.shape[1], phrase_dim)
        self.scale = table.shape[1] ** 0.5  # entries of unit variance, as a layer's initial weights expect

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Phrase numbers (B, n, 1) -> phrases (B, n, phrase_dim), zero where there is none, and `valid` (B, n)."""
        numbers = tokens[..., 0]
        valid = numbers != 0
        with torch.autocast(tokens.device.type, enabled=False):
            vectors = self.project(self.scale * self.table(numbers).float())
        return vectors * valid[..., None], valid
