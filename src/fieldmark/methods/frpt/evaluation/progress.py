"""How recall grows: with the steps of a training, and with the training pictures per class."""

from collections.abc import Mapping, Sequence

from fieldmark.contract.variants import load_model
from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.variants import FOLLOWED, few_name
from fieldmark.protocols.retrieval import Scored, score_model

Curve = tuple[list[float], list[Interval]]


def recall_on_the_way(
    models: Mapping[str, Frpt], scored: Mapping[str, Scored], task: Task
) -> dict[str, Curve]:
    """Return (steps, recall at the first k) of each followed model's snapshots and, last, of the model itself."""
    curves: dict[str, Curve] = {}
    for name in FOLLOWED:
        if name in scored:
            model = models[name]
            earlier = [
                score_model(f"{name} {path.name}", load_model(path), model.loaded, task)
                for path in model.earlier
            ]
            steps = [*(float(path.name) for path in model.earlier), float(model.params.train.steps)]
            curves[name] = (steps, [_recall(result) for result in (*earlier, scored[name])])
    return curves


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
