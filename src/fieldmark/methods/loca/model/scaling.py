"""Training on a part of the pictures, for how a method scales with them."""

import numpy as np

from fieldmark.datasets.data.roles.splits import chance
from fieldmark.engine.task import Task


def thinned(task: Task, fraction: float, seed: int) -> Task:
    """Return the task with a fraction of its training pictures, at least one; other roles keep theirs.

    A larger fraction contains the smaller ones. The draw depends only on the seed and on the ids.
    """
    train = np.flatnonzero((task.split["role"] == "train").to_numpy())
    drawn = [chance(seed, str(key)) for key in task.split["id"].iloc[train]]
    left_out = train[np.argsort(drawn, kind="stable")[max(1, round(fraction * len(train))) :]]
    return task.with_split(task.split.drop(task.split.index[left_out]))
