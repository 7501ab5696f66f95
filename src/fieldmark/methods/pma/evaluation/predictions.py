"""What a model makes of the test pictures, with their own text and with text that is wrong or missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.methods.pma.model.method import Pma, PmaVariant
from fieldmark.methods.pma.model.phrases import PhraseTable
from fieldmark.methods.pma.model.stack import Stage
from fieldmark.protocols.classification import Classified, class_groups
from fieldmark.protocols.shared import SharedFeatures

OWN, MISSING, PARTIAL, WRONG = "own", "missing", "partial", "wrong"
SEED = 0


@dataclass(frozen=True)
class Predicted:
    """What one model says of the test pictures with each text; a model that reads no text has only `OWN`.

    `parts` (N, stages) are the blocks that its stages located, without stages (N, 0). No text changes them.
    """

    variant: PmaVariant
    by_text: Mapping[str, Classified]
    phrases: PhraseTable | None
    parts: NDArray[np.int64]

    @property
    def with_own_text(self) -> Classified:
        """What it says of each picture with the picture's own text; of the picture alone where it reads none."""
        return self.by_text[OWN]


Runs = Mapping[str, Sequence[Predicted]]  # of each variant and student, one per seed


def reading(by_seed: Sequence[Predicted], text: str = OWN) -> list[Classified]:
    """Return what the models of several seeds say when they read that text."""
    return [predicted.by_text[text] for predicted in by_seed]


def predict(model: Pma, images: ImageParams, features: SharedFeatures, desc: str) -> Predicted:
    """Run one model over the test pictures, once through the backbone whatever the number of texts."""
    task = features.task
    test = task.subset("test")
    phrases = model.phrases_of(task, test) if model.encoder else None
    texts: dict[str, Tensor | None] = {OWN: None}
    if phrases is not None:
        texts |= texts_of(phrases.tokens, test.labels)

    def scored(batch: Batch) -> Tensor:
        """Return the logits with each text and, behind them, the parts, in one row per picture."""
        feature_map, indices = model.batch_feature_map(batch), batch["indices"].cpu()
        rows: list[Tensor] = []
        stages: tuple[Stage, ...] = ()
        for tokens in texts.values():
            read = None if tokens is None else tokens[indices].to(batch["indices"].device)
            z, stages = model.attend_feature_map(feature_map, read)
            rows.append(model.classifier(z).float())
        return torch.cat([*rows, *(stage.part[:, None].float() for stage in stages)], 1)

    scores = features.run(model, scored, test, images, desc).clone()
    answers = len(texts) * len(model.class_names)
    logits = scores[:, :answers].unflatten(1, (len(texts), -1))
    groups = class_groups(task)
    by_text = {
        text: Classified(test, model.class_names, groups, logits[:, index])
        for index, text in enumerate(texts)
    }
    return Predicted(model.variant, by_text, phrases, scores[:, answers:].long().numpy())


def new_parts(parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Blocks (N, stages) -> the share of its stages that look at a block that none before them looked at, (N,)."""
    return np.array([len(set(row)) / len(row) for row in parts.tolist()])


def texts_of(tokens: Tensor, labels: NDArray[np.int64], seed: int = SEED) -> dict[str, Tensor]:
    """Return tokens (N, n, w) as they are, none at all, half of each picture's phrases, and another class's.

    Half is rounded up and drawn at random; wrong text is that of a random picture of another class (of
    the picture itself where there is no other class).
    """
    rng = np.random.default_rng(seed)
    valid = tokens[..., 0].numpy() != 0
    order = np.where(valid, rng.random(valid.shape), 2.0).argsort(1).argsort(1)
    half = valid & (order < (valid.sum(1, keepdims=True) + 1) // 2)
    return {
        OWN: tokens,
        MISSING: torch.zeros_like(tokens),
        PARTIAL: tokens * torch.from_numpy(half)[..., None],
        WRONG: tokens[torch.from_numpy(strangers(labels, rng))],
    }


def strangers(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return for each of N labels the index of a random label that differs (the same index where none does)."""
    indices = np.arange(len(labels))
    codes = np.unique(labels, return_inverse=True)[1]
    own = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    others_before = [members - np.arange(len(members)) for members in own]
    for index, code in enumerate(codes):
        others = len(labels) - len(own[code])
        if others:
            place = int(rng.integers(others))  # among the pictures of other classes, in their order
            indices[index] = place + np.searchsorted(others_before[code], place, side="right")
    return indices
