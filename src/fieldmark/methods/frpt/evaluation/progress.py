"""How recall grows: with the steps of a training, and with the training pictures per class."""

from collections.abc import Mapping

from fieldmark.contract.variants import load_model
from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FOLLOWED, FrptParams
from fieldmark.protocols.retrieval import Scored, score

Curve = tuple[list[float], list[Interval]]


def recall_on_the_way(
    models: Mapping[str, Frpt], scored: Mapping[str, Scored], task: Task
) -> dict[str, Curve]:
    """Return (steps, recall at the first k) of each model's snapshots and, last, of the model itself."""
    curves = {}
    for name, model in models.items():
        steps = [float(path.name) for path in model.earlier]
        earlier = [
            score(f"{name} {path.name}", load_model(path), model.params.loaded, task)
            for path in model.earlier
        ]
        ends = [*earlier, scored[name]]
        curves[name] = ([*steps, float(model.params.train.steps)], [_recall(one) for one in ends])
    return curves


def recall_by_shots(scored: Mapping[str, Scored], params: FrptParams, task: Task) -> dict[str, Curve]:
    """Return (training pictures per class, recall at the first k) for few pictures and, last, for all."""
    train = task.subset("train")
    pictures = len(train) / len(train.class_names)
    curves: dict[str, Curve] = {}
    for name in FOLLOWED:
        if name in scored:
            shots = sorted(params.shots)
            found = [scored[f"{name}-{few}"] for few in shots] + [scored[name]]
            counts = [*map(float, shots), pictures]
            curves[name] = (counts, [_recall(one) for one in found])
    return curves


def _recall(scored: Scored) -> Interval:
    return interval(scored.per_query(scored.recalls[0]), scored.clusters)
