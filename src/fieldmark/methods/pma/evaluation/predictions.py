"""What a model makes of the test pictures, with their own text and with text that is wrong or missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.classification import correct_in_top
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.phrases import PhraseTable
from fieldmark.runtime.inference import run_batches

OWN, MISSING, PARTIAL, WRONG = "own", "missing", "partial", "wrong"
SEED = 0


@dataclass(frozen=True)
class Predicted:
    """One model's logits (N, C) for the test pictures under each text; pictures alone have only `own`."""

    test: Subset
    all_class_names: list[str]  # (C,), by label
    groups: NDArray[np.str_]  # of the classes: genera, makes, (C,), by label
    logits: Mapping[str, Tensor]
    phrases: PhraseTable | None
    taught_by: str | None = None  # the variant that a student learnt from

    @cached_property
    def probabilities(self) -> Array:
        """With the pictures' own text, (N, C)."""
        found: Array = self.logits[OWN].double().softmax(1).numpy()
        return found

    def right(self, k: int = 1, text: str = OWN) -> Array:
        """Whether a picture's class is among the k likeliest, (N,)."""
        return correct_in_top(self.logits[text], self.test.labels, k)

    @property
    def class_names(self) -> NDArray[np.str_]:
        """The class of each picture, (N,)."""
        return np.array(self.test.frame["class_name"], dtype=str)

    @property
    def group_names(self) -> NDArray[np.str_]:
        """The group of each picture, (N,)."""
        return self.groups[self.test.labels]

    @property
    def has_groups(self) -> bool:
        """Whether any group holds several classes."""
        return len(set(self.groups)) < len(self.groups)

    @property
    def guesses(self) -> Array:
        """The likeliest class of each picture, (N,)."""
        found: Array = self.logits[OWN].argmax(1).numpy()
        return found

    @property
    def group_right(self) -> Array:
        """Whether the likeliest class is at least of the right group, (N,)."""
        right: Array = self.groups[self.guesses] == self.groups[self.test.labels]
        return right


def predict(model: Pma, images: ImageParams, task: Task, desc: str) -> Predicted:
    """Run one model over the test pictures, once through the backbone whatever the number of texts."""
    test = task.subset("test")
    phrases = None
    texts: dict[str, Tensor | None] = {OWN: None}
    if model.encoder is not None:
        phrases = model.phrases_of(task, test)
        texts |= texts_of(phrases.tokens, test.labels)

    def scored(batch: Batch) -> Tensor:
        maps, indices = model.maps(batch["images"]), batch["indices"].cpu()
        answers = []
        for tokens in texts.values():
            own = None if tokens is None else tokens[indices].to(batch["images"].device)
            answers.append(model.classifier(model.attend_map(maps, own)[0]))
        return torch.stack(answers, 1)

    logits = run_batches(model, scored, task, test, images, desc).clone()
    by_text = {name: logits[:, place] for place, name in enumerate(texts)}
    return Predicted(test, model.class_names, class_groups(task), by_text, phrases, model.taught_by)


def texts_of(tokens: Tensor, labels: NDArray[np.int64], seed: int = SEED) -> dict[str, Tensor]:
    """Return tokens (N, n, w) as they are, none at all, half of each picture's phrases, and another class's.

    Half is rounded up and drawn at random; wrong text is that of a random picture of another class (the
    picture's own where there is no other class).
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
    """Return for each of N labels the index of a random one that differs (its own where none does)."""
    found = np.arange(len(labels))
    for place, label in enumerate(labels):
        others = np.flatnonzero(labels != label)
        if len(others):
            found[place] = rng.choice(others)
    return found


def class_groups(task: Task) -> NDArray[np.str_]:
    """Return the group of each class by label, (C,): the manifest's, or else the class itself."""
    manifest = task.manifest.drop_duplicates("class_name").set_index("class_name")
    names = task.subset("train").class_names
    given = manifest["group"].reindex(names)
    return np.array([name if group is None else str(group) for name, group in given.items()])
