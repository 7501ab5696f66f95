"""Scoring the variants of a classifier side by side: what every such method's evaluation shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference
from fieldmark.evaluation.classification import (
    GroupAccuracy,
    Reliability,
    Stated,
    correct_in_top,
    group_accuracies,
    log_loss,
    reliability,
    stated,
)
from fieldmark.figures.chosen import evenly
from fieldmark.protocols.seeds import mean_over
from fieldmark.results.schema import Measure

CALIBRATION = "calibration_error is the expected calibration error over 15 bins of confidence."
LOWER_IS_BETTER = ("calibration_error",)


@dataclass(frozen=True)
class Classified:
    """What one model says of the N test pictures: their logits (N, C).

    `names` (C,) and `groups` (C,), by label, are those of the classes; a group is a genus or a make.
    """

    test: Subset
    names: list[str]
    groups: NDArray[np.str_]
    logits: Tensor

    @cached_property
    def stated(self) -> Stated:
        """What the probabilities say of each picture; they are not held themselves."""
        return stated(self.logits, self.test.labels, softmax=True)

    @property
    def true_probabilities(self) -> Array:
        """The probability of each picture's own class, (N,)."""
        return self.stated.own

    @property
    def guesses(self) -> Array:
        """The label of the class that each picture most likely shows, (N,)."""
        guesses: Array = self.logits.argmax(1).numpy()
        return guesses

    def right(self, k: int = 1) -> Array:
        """Whether a picture's class is among the k likeliest, (N,)."""
        return correct_in_top(self.logits, self.test.labels, k)

    @property
    def group_right(self) -> Array:
        """Whether the likeliest class is at least of the right group, (N,)."""
        right: Array = self.groups[self.guesses] == self.picture_groups
        return right

    def accuracy(self, k: int = 1) -> Interval:
        """Top-k accuracy with its interval over classes."""
        return interval(self.right(k), self.test.labels)

    @property
    def reliability(self) -> Reliability:
        """Confidence against accuracy."""
        return reliability(self.stated)

    @property
    def picture_classes(self) -> NDArray[np.str_]:
        """The name of each picture's class, (N,)."""
        return np.array(self.test.frame["class_name"], dtype=str)

    @property
    def picture_groups(self) -> NDArray[np.str_]:
        """The group of each picture's class, (N,)."""
        return self.groups[self.test.labels]

    @property
    def has_groups(self) -> bool:
        """Whether any group holds several classes."""
        return len(set(self.groups)) < len(self.groups)

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the measures that the report's first table shows."""
        grouped = ("group",) if self.has_groups else ()
        return ("top1", "top5", *grouped, "calibration_error")


def class_groups(task: Task) -> NDArray[np.str_]:
    """Return the group of each class by label, (C,): the manifest's, or else the class itself."""
    manifest = task.manifest.drop_duplicates("class_name").set_index("class_name")
    given = manifest["group"].reindex(task.subset("train").class_names)
    return np.array([name if group is None else str(group) for name, group in given.items()])


def measured(by_seed: Sequence[Classified]) -> dict[str, Interval | Measure | float]:
    """Return the measures of every classifier, over its seeds; `group` where classes form groups."""
    first = by_seed[0]
    labels = first.test.labels
    grouped = {"group": interval([one.group_right for one in by_seed], labels)} if first.has_groups else {}
    return {
        "top1": accuracy(by_seed),
        "top5": accuracy(by_seed, 5),
        **grouped,
        "calibration_error": mean_over([one.reliability.error for one in by_seed]),
        "log_loss": mean_over([log_loss(one.stated) for one in by_seed]),
    }


def accuracy(by_seed: Sequence[Classified], k: int = 1) -> Interval:
    """Return top-k accuracy over seeds, with its interval over classes and seeds."""
    return interval([one.right(k) for one in by_seed], by_seed[0].test.labels)


def top_difference(first: Sequence[Classified], second: Sequence[Classified], k: int = 1) -> Interval:
    """Return top-k accuracy of `first` minus that of `second`, on the same pictures and seeds."""
    better, than = ([one.right(k) for one in side] for side in (first, second))
    return paired_difference(better, than, first[0].test.labels)


def by_part(by_seed: Sequence[Classified], parts: NDArray[np.str_]) -> list[GroupAccuracy]:
    """Return top-1 accuracy of each part of the test pictures, by name; `parts` (N,) may be classes or groups."""
    found = group_accuracies([one.right() for one in by_seed], parts, by_seed[0].test.labels)
    return sorted(found, key=lambda part: str(part.name))


def evenly_by_probability(classified: Classified, count: int = 6) -> list[int]:
    """Choose test pictures evenly from the lowest to the highest probability of their class."""
    order = np.argsort(classified.true_probabilities, kind="stable")
    return [int(order[index]) for index in evenly(len(order), count)]


def counted(classified: Classified, task: Task) -> dict[str, int]:
    """Return the counts that the report shows; they are those of any variant."""
    grouped = {"groups": len(set(classified.groups))} if classified.has_groups else {}
    return {
        "test pictures": len(classified.test),
        "training pictures": len(task.subset("train")),
        "classes": len(classified.groups),
        **grouped,
    }


def detailed(by_seed: Sequence[Classified], parts: NDArray[np.str_]) -> dict[str, Any]:
    """Return top-1 accuracy and the number of pictures per part, for readers who look up a class or a group."""
    return {
        part.name: {
            "value": part.accuracy.value,
            "low": part.accuracy.low,
            "high": part.accuracy.high,
            "pictures": part.count,
        }
        for part in by_part(by_seed, parts)
    }
