"""Which pictures make up the batch of a step: pure functions of a seed, so that a resumed run sees the same."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Sampler(Protocol):
    """Maps the number of a step to the indices of its batch; the steps before play no part."""

    batch_size: int

    def batch(self, step: int) -> Indices:
        """Return the `batch_size` indices of batch number `step`, counted from 0."""


class RoundSampler(ABC):
    """Batches that are chosen anew every `round_steps` steps, by what the model has learnt until then.

    Within a round a batch is a function of the step. What was chosen is a part of the model's state, so that a resumed
    training goes on with it.
    """

    batch_size: int
    round_steps: int

    @abstractmethod
    def renew(self, step: int) -> None:
        """Choose the batches of the round of `step`, unless they are known already."""

    @abstractmethod
    def batch(self, step: int) -> Indices:
        """Return the `batch_size` indices of batch number `step`, which lies in the round chosen last."""


class ShuffledSampler:
    """Passes over all `size` items in a new order each epoch.

    The last batch of an epoch is filled up with the first items of the next one. Raises ValueError without items.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        if size < 1:
            raise ValueError("there is nothing to sample from: the training split is empty")
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self._order: tuple[int, Indices] | None = None

    def batch(self, step: int) -> Indices:
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(positions, self.size)
        return np.array([self._permutation(e)[o] for e, o in zip(epochs, offsets, strict=True)], np.int64)

    def _permutation(self, epoch: int) -> Indices:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, _generator(self.seed, epoch).permutation(self.size))
        return self._order[1]


class ClassBalancedSampler:
    """P classes x K pictures: every batch holds K = `images_per_class` pictures of each of its P classes.

    All classes take their turn in a random order, then again in a new one. A class with fewer than K pictures
    repeats some of them. Raises ValueError when K does not divide the batch size.
    """

    def __init__(self, labels: Indices, batch_size: int, images_per_class: int, seed: int) -> None:
        if batch_size % images_per_class:
            raise ValueError(f"batch_size {batch_size} is no multiple of images_per_class {images_per_class}")
        self.batch_size, self.images_per_class, self.seed = batch_size, images_per_class, seed
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self._classes = ShuffledSampler(len(self.members), batch_size // images_per_class, seed)

    def batch(self, step: int) -> Indices:
        generator = _generator(self.seed, step, 1)
        picked = [self._pick(self.members[c], generator) for c in self._classes.batch(step)]
        return np.concatenate(picked)

    def _pick(self, members: Indices, generator: np.random.Generator) -> Indices:
        return generator.choice(members, self.images_per_class, replace=len(members) < self.images_per_class)


class ClassAwareSampler:
    """Classes take turns, whatever their number of pictures, and the pictures of a class do so on its turns.

    A picture of several classes is drawn on the turn of each of them, and one of none is never drawn. Every round of
    the classes has a new order, and so has every round of a class's pictures. `members` has the indices of each class.
    Raises ValueError when no class has a picture. Source: Shen et al., ECCV 2016 (relay back-propagation), section 3.2.
    """

    def __init__(self, members: Sequence[Indices], batch_size: int, seed: int) -> None:
        self.members = [of_class for of_class in members if len(of_class)]
        if not self.members:
            raise ValueError("no training picture has a class, so that none can be drawn class by class")
        self.batch_size = batch_size
        self._classes = ShuffledSampler(len(self.members), batch_size, seed)
        seeds = _generator(seed, 2).integers(2**62, size=len(self.members))
        turns = zip(self.members, seeds, strict=True)
        self._pictures = [ShuffledSampler(len(of_class), 1, int(own)) for of_class, own in turns]

    def batch(self, step: int) -> Indices:
        rounds = np.arange(step * self.batch_size, (step + 1) * self.batch_size) // len(self.members)
        turns = zip(self._classes.batch(step), rounds, strict=True)  # a class has one turn in every round
        return np.array([self._picture(number, int(turn)) for number, turn in turns], np.int64)

    def _picture(self, number: int, turn: int) -> int:
        """Return what class `number` gives on its turn `turn`."""
        [place] = self._pictures[number].batch(turn)
        return int(self.members[number][place])


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
