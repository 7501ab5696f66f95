"""Leaving out pictures with several labels until every class has about as many as it is to have."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fieldmark.datasets.data.roles.multilabel import LabelTable

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
FEW = 2**8  # pictures that are looked at first, and then twice as many as before until a class is full
BLOCK = 2**18  # numbers of a table with all zeros that are held at a time


def thin(table: LabelTable, goal: Indices) -> Mask:
    """Choose pictures so that every class has about `goal` (C,) of them; return a mask (N,).

    Earlier rows of `table` are preferred. First, from the rarest class to the most frequent one, pictures are added
    until the class meets its goal; a picture is refused when it would lift a class that was served before above its
    goal. Since labels occur together, frequent classes may then still be short of their goal. So the more frequent
    half of the classes is completed, with those pictures first whose labels add the smallest fractions to the goals of
    their classes; the rarer half still never passes its goal.
    """
    kept = _Kept(table, goal)
    rank = np.argsort(goal, kind="stable")
    for label in rank.tolist():
        kept.add(label, table.members[label])
        kept.bind(label)
    kept.bind_alone(rank[: len(rank) // 2])
    fraction = fractions(table, 1.0 / np.maximum(goal, 1))
    for label in rank[len(rank) // 2 :][::-1].tolist():
        free = kept.free(table.members[label])
        kept.add(label, free[np.argsort(fraction[free], kind="stable")])
    return kept.pictures


class _Kept:
    """The pictures that are kept so far, (N,), and those that are refused, for a bound class of theirs is full."""

    def __init__(self, table: LabelTable, goal: Indices) -> None:
        self.table, self.goal = table, goal
        self.counts = np.zeros_like(goal)
        self.bound = np.zeros(len(goal), dtype=bool)
        self.pictures, self.refused = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)

    def free(self, pictures: Indices) -> Indices:
        """Return those that are neither kept nor refused, in their order."""
        return pictures[~(self.pictures[pictures] | self.refused[pictures])]

    def bind(self, label: int) -> None:
        """Let no picture lift this class above its goal from now on."""
        self.bound[label] = True
        if self.counts[label] >= self.goal[label]:
            self.refused[self.table.members[label]] = True

    def bind_alone(self, labels: Indices) -> None:
        """Let no picture lift these classes above their goals from now on, but any other class."""
        self.bound[:] = self.refused[:] = False
        for label in labels.tolist():
            self.bind(label)

    def add(self, label: int, pictures: Indices) -> None:
        """Keep `pictures`, in order, until class `label`, which all of them show, meets its goal.

        None is kept that would lift a bound class above its goal. As many are kept at once as come before the next
        bound class is full, since up to there none of them is refused.
        """
        start, length = 0, FEW
        while start < len(pictures) and self.counts[label] < self.goal[label]:
            part = self.free(pictures[start : start + length])[: self.goal[label] - self.counts[label]]
            if self._keep(part) == len(part):
                start, length = start + length, 2 * length
            else:
                length = FEW  # from the same picture on, for others are refused now

    def _keep(self, pictures: Indices) -> int:
        """Keep the first of these pictures, up to the one that fills a bound class; return how many."""
        columns, places = self.table.of(pictures)
        room = self.goal - self.counts
        added = np.bincount(columns, minlength=len(room))
        full = np.flatnonzero(self.bound & (room > 0) & (added >= room))
        kept = 1 + min(
            (int(places[columns == label][room[label] - 1]) for label in full), default=len(pictures) - 1
        )
        self.pictures[pictures[:kept]] = True
        self.counts += np.bincount(columns[places < kept], minlength=len(room))
        for label in full.tolist():
            self.bind(label)
        return kept


def fractions(table: LabelTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the weights (C,) of the classes that each picture shows, (N,).

    It is the product of the multi-hot table with the weights, of which some rows are held at a time. Sums of the
    weights of the classes alone could be rounded in another way than this product, and put pictures in another order.
    """
    rows = max(BLOCK // table.classes // 64, 1) * 64
    edges = [0, *range(rows, len(table) - rows + 1, rows), len(table)]
    held, sums = np.zeros((min(2 * rows, len(table)), table.classes)), np.empty(len(table))
    for start, end in pairwise(edges):
        entries = slice(table.starts[start], table.starts[end])
        places = table.rows[entries] - start, table.columns[entries]
        held[places] = 1.0
        sums[start:end] = held[: end - start] @ weights
        held[places] = 0.0
    return sums
