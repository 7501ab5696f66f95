"""The scores of a backbone by itself: recall of its features, accuracy of its classifier."""

from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.datasets.data.packed.manifest import KINDS, listed
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.evaluation.landmarks import Protocol, revisited_average_precision
from fieldmark.evaluation.relevance import Relevance
from fieldmark.evaluation.retrieval import rank_queries
from fieldmark.pretraining.backbones import Classifier
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.results.schema import NetworkResult
from fieldmark.vision.backbones import Backbone
from fieldmark.vision.pooling import pool

LEVELS: tuple[Protocol, ...] = ("medium", "hard")  # of landmarks, as papers report them


def describe_backbone(
    name: str, backbone: Backbone, classifier: Classifier | None, params: BackboneParams, task: Task
) -> NetworkResult:
    """Score a backbone and say where it comes from."""
    return NetworkResult(
        name=name,
        arch=f"{params.library}: {params.arch}",
        weights=Path(params.weights).name if params.weights else f"trained here on split '{params.split}'",
        parameters=sum(p.numel() for p in backbone.parameters()),
        split=params.split,
        measures=score_backbone(backbone, classifier, params, task),
        metrics=("recall@1", "top1", "map_medium"),
    )


def score_backbone(
    backbone: Backbone, classifier: Classifier | None, params: BackboneParams, task: Task
) -> dict[str, Interval]:
    """Return recall@1 of the pooled features on the split's test pictures, and top1 where there is a classifier.

    On a benchmark of landmarks it is mAP by the revisited protocol, medium and hard. A split for dense prediction has
    no classes: there is nothing to recall.
    """
    if task.split_params.kind == "landmarks":
        return _landmarks(backbone, params, task)
    if task.split_params.kind == "dense":
        return {}
    test = task.subset("test", "query", "gallery")
    measures = _recall(backbone, params, task, test)
    if classifier:
        measures["top1"] = _top1(classifier, params, task, test)
    return measures


def _top1(model: Classifier, params: BackboneParams, task: Task, test: Subset) -> Interval:
    """Fraction of the test pictures whose class has the highest score."""
    logits = task.run(model, model.logits, test, params.images, "test")
    return interval(logits.argmax(1).numpy() == test.labels, test.labels)


def _recall(backbone: Backbone, params: BackboneParams, task: Task, test: Subset) -> dict[str, Interval]:
    """Recall@1 of the pooled features among the test pictures, leave-one-out; nothing where no class has two."""
    vectors = _described(backbone, params, task, test)
    results = rank_queries(vectors, test.labels, neighbours=0, depth=1)
    if not results.valid.any():
        return {}
    return {"recall@1": interval(results.recall(1)[results.valid], test.labels[results.valid])}


def _landmarks(backbone: Backbone, params: BackboneParams, task: Task) -> dict[str, Interval]:
    queries, database = task.subset("query"), task.subset("gallery")
    names = {kind: listed(task.manifest, kind) for kind in KINDS}
    found = Relevance.of(names, queries.frame["id"].tolist(), database.frame["id"].tolist())
    rows, others = (
        normalize(_described(backbone, params, task, side), dim=1) for side in (queries, database)
    )
    measures = {}
    for level in LEVELS:
        values = revisited_average_precision(others @ rows.T, found.easy, found.hard, found.junk, level)
        valid = values[np.isfinite(values)]
        if len(valid):
            measures[f"map_{level}"] = interval(valid, np.arange(len(valid)))
    return measures


def _described(backbone: Backbone, params: BackboneParams, task: Task, subset: Subset) -> Tensor:
    """Return the pooled features of pictures, (N, D)."""
    return task.run(backbone, lambda x: pool(backbone(x), params.pooling), subset, params.images, "test")
