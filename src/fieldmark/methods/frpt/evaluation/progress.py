"""How recall grows: with the steps of a training, and with the training pictures per class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.contract.variants import load_model
from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.variants import FOLLOWED, few_name
from fieldmark.protocols.retrieval import Scored, score_model

Curve = tuple[list[float], list[Interval]]


@dataclass(frozen=True)
class Progress:
    """What a variant recalls on its way: at `steps` (P,), of which the last is the end of training.

    `recall` (S, P, N) has one value for each of S seeds, P states and N queries, `clusters` (N,) the query's class.
    """

    steps: tuple[int, ...]
    recall: NDArray[np.float64]
    clusters: NDArray[np.int64]

    @property
    def curve(self) -> Curve:
        """Return the steps, and the recall of the first seed at each."""
        intervals = [interval(values, self.clusters) for values in self.recall[0]]
        return [float(step) for step in self.steps], intervals


def follow(
    models: Mapping[str, Sequence[Frpt]], scored: Mapping[str, Sequence[Scored]], task: Task
) -> dict[str, Progress]:
    """Score the snapshots of each model that has any, by recall at the first k."""
    found: dict[str, Progress] = {}
    for name, by_seed in models.items():
        if by_seed[0].earlier:
            steps = (*(int(path.name) for path in by_seed[0].earlier), by_seed[0].params.train.steps)
            pairs = zip(by_seed, scored[name], strict=True)
            recall = np.stack([_recalls(name, model, result, task) for model, result in pairs])
            found[name] = Progress(steps, recall, scored[name][0].clusters)
    return found


def _recalls(name: str, model: Frpt, scored: Scored, task: Task) -> NDArray[np.float64]:
    """Return (P, N) recall at the first k of every query, by the snapshots of a model and, last, by the model."""
    measure = scored.recalls[0]
    earlier = [
        score_model(f"{name} {path.name}", load_model(path), model.loaded, task).per_query(measure)
        for path in model.earlier
    ]
    return np.stack([*earlier, scored.per_query(measure)])


def recall_by_shots(scored: Mapping[str, Scored], shots: Sequence[int], task: Task) -> dict[str, Curve]:
    """Return (training pictures per class, recall at the first k) for few pictures and, last, for all."""
    train = task.subset("train")
    counts = [*map(float, sorted(shots)), len(train) / len(train.class_names)]
    curves: dict[str, Curve] = {}
    for name in FOLLOWED:
        if name in scored:
            results = [*(scored[few_name(name, few)] for few in sorted(shots)), scored[name]]
            curves[name] = (counts, [_recall(result) for result in results])
    return curves


def _recall(scored: Scored) -> Interval:
    return scored.measures[scored.recalls[0]]
