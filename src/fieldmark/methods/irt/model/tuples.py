"""Tuples for training on specific objects: a query, a picture of the same object, and its hardest negatives.

Radenovic et al., "Fine-tuning CNN image retrieval with no human annotation", arXiv 1711.02512, sections 3.3 and 5.1,
whose procedure IRT follows on SfM-120k: each round draws pairs and a pool of pictures, describes them with the weights
as they are, and takes for each query the most similar pictures of other objects from the pool, one of each object.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.samplers import RoundSampler
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.packed.manifest import POSITIVES, listed
from fieldmark.engine.task import Subset, Task
from fieldmark.methods.irt.model.descriptor import Descriptor
from fieldmark.runtime.distributed import from_first

BLOCK = 256  # queries whose similarities with the pool are held at once
Indices = NDArray[np.int64]


class TupleBank(nn.Module):
    """The tuples of a round, (T, 2 + negatives) indices of training pictures; part of a training's state."""

    indices: Tensor

    def __init__(self, count: int, negatives: int) -> None:
        super().__init__()
        self.length, self.round = 2 + negatives, -1
        self.register_buffer("indices", torch.full((count, self.length), -1, dtype=torch.long))

    def keep(self, number: int, tuples: Tensor) -> None:
        """Replace the tuples by those of the round `number`."""
        self.indices.copy_(tuples)
        self.round = number

    def get_extra_state(self) -> dict[str, int]:
        """Return the number of the round, for `state_dict`."""
        return {"round": self.round}

    def set_extra_state(self, state: Any) -> None:
        """Restore the number of the round."""
        self.round = state["round"]


class TupleSampler(RoundSampler):
    """Whole tuples in every batch, in the order query, positive, negatives; negatives are mined every round."""

    def __init__(
        self,
        bank: TupleBank,
        descriptor: Descriptor,
        task: Task,
        pairs: Indices,
        pool: int,
        images: ImageParams,
        batch_size: int,
        seed: int,
    ) -> None:
        self.bank, self.descriptor, self.task, self.images = bank, descriptor, task, images
        self.subset, self.pairs, self.pool, self.seed = task.subset("train"), pairs, pool, seed
        self.batch_size = batch_size
        self.round_steps = len(bank.indices) // (batch_size // bank.length)

    def renew(self, step: int) -> None:
        """Mine the tuples of the round of a step, unless a resumed training brought them along."""
        number = step // self.round_steps
        if self.bank.round != number:
            device = self.bank.indices.device
            self.bank.keep(number, from_first(torch.from_numpy(self._mined(number)).to(device)))

    def batch(self, step: int) -> Indices:
        """Return the indices of the pictures of a step, tuple after tuple."""
        count = self.batch_size // self.bank.length
        first = step % self.round_steps * count
        indices: Indices = self.bank.indices[first : first + count].flatten().cpu().numpy()
        return indices

    def _mined(self, number: int) -> Indices:
        """Return the tuples (T, 2 + negatives) of a round."""
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, number))))
        pairs = self.pairs[generator.permutation(len(self.pairs))[: len(self.bank.indices)]]
        pool = generator.permutation(len(self.subset))[: self.pool]
        described, place = np.unique(np.concatenate([pairs[:, 0], pool]), return_inverse=True)
        vectors = self._described(described, number)
        queries, others = vectors[place[: len(pairs)]], vectors[place[len(pairs) :]]
        labels = self.subset.labels
        found = hardest(queries, labels[pairs[:, 0]], others, labels[pool], self.bank.length - 2)
        return np.concatenate([pairs, pool[found]], axis=1)

    def _described(self, indices: Indices, number: int) -> Tensor:
        """Describe training pictures with the weights as they are; every module keeps its mode."""
        modes = [(module, module.training) for module in self.descriptor.modules()]
        rows = Subset(self.subset.frame.iloc[indices])
        described = self.task.run(
            self.descriptor, self.descriptor.forward, rows, self.images, f"round {number}"
        )
        for module, training in modes:
            module.training = training
        return described


def hardest(queries: Tensor, labels: Indices, pool: Tensor, pool_labels: Indices, count: int) -> Indices:
    """Return (Q, count) rows of the pool: for each query the most similar of other objects, one of each object.

    `queries` (Q, D) and `pool` (P, D) are of unit length, `labels` (Q,) and `pool_labels` (P,) name their objects.
    Raises UserError when the pool has too few other objects.
    """
    chosen = np.empty((len(queries), count), dtype=np.int64)
    for start in range(0, len(queries), BLOCK):
        order = (queries[start : start + BLOCK] @ pool.T).argsort(dim=1, descending=True, stable=True).numpy()
        for query, ranking in enumerate(order, start):
            chosen[query] = _first_of_others(ranking, int(labels[query]), pool_labels, count)
    return chosen


def _first_of_others(ranking: Indices, own: int, pool_labels: Indices, count: int) -> list[int]:
    taken, found = {own}, list[int]()
    for row in ranking.tolist():
        label = int(pool_labels[row])
        if len(found) == count:
            break
        if label not in taken:
            taken.add(label)
            found.append(row)
    if len(found) < count:
        raise UserError(
            f"irt.tuples: a pool of {len(pool_labels)} pictures has {len(found)} other objects for {count} negatives; "
            "enlarge tuples.pool, or lower tuples.negatives"
        )
    return found


def training_pairs(task: Task) -> Indices:
    """Return (P, 2) the places, among the training pictures, of each query and of a picture of the same object.

    Pairs with a picture that the split left out are passed over. Raises UserError where the data set names none.
    """
    ids = task.subset("train").frame["id"].tolist()
    place, positives = {key: index for index, key in enumerate(ids)}, listed(task.manifest, POSITIVES)
    pairs = [(place[key], place[other]) for key in ids for other in positives.get(key, ()) if other in place]
    if not pairs:
        raise UserError(
            "irt.tuples wants pairs of pictures that show the same object, and the data set names none; use source "
            "sfm120k, or set irt.tuples to null"
        )
    return np.array(pairs, np.int64)
