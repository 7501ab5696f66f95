"""Where backbones come from: trained on a labelled split, or taken with their weights; always scored."""

from typing import Any

import torch

from fieldmark.contract.method import Subset, Task
from fieldmark.contract.variants import train_on
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.params import BackboneParams
from fieldmark.engine.watch import Point
from fieldmark.evaluation.bootstrap import interval
from fieldmark.evaluation.retrieval import rank_queries
from fieldmark.inference.batches import run_over
from fieldmark.pretraining.classifier import Classifier
from fieldmark.vision.backbones import Backbone, create_backbone
from fieldmark.vision.pooling import pool


def pretrain(
    params: BackboneParams, task: Task, checkpoints: CheckpointFolder, name: str
) -> tuple[Backbone, dict[str, Any], list[Point]]:
    """Return the backbone, its scores on the split's test pictures, and its training curve (may be empty)."""
    torch.manual_seed(params.train.seed if params.train else 0)
    backbone = create_backbone(params, params.images.size)
    test = task.subset("test", "query", "gallery")
    metrics, curve = {}, []
    if params.train:
        model = Classifier(
            backbone, len(task.subset("train").class_names), params.pooling, params.label_smoothing
        )
        curve = train_on(model, params.images, params.train, task, checkpoints, name)
        metrics["top1"] = _top1(model, params, task, test)
    metrics["recall@1"] = _recall(backbone, params, task, test)
    return backbone, metrics, curve


def _top1(model: Classifier, params: BackboneParams, task: Task, test: Subset) -> dict[str, float]:
    """Share of test pictures whose class is scored highest."""
    logits = run_over(model, model.logits, task, test, params.images, "test")
    right = logits.argmax(1).numpy() == test.labels
    return interval(right, test.labels).as_dict()


def _recall(backbone: Backbone, params: BackboneParams, task: Task, test: Subset) -> dict[str, float]:
    """Recall@1 of the pooled features among the test pictures, leave-one-out."""
    vectors = run_over(
        backbone, lambda x: pool(backbone(x), params.pooling), task, test, params.images, "test"
    )
    results = rank_queries(vectors, test.labels)
    return interval(results.recall(1)[results.valid], test.labels[results.valid]).as_dict()
