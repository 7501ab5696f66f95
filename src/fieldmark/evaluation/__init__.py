"""Measures of what a model does: pure functions on arrays and tensors."""

from fieldmark.evaluation.landmarks import revisited_map
from fieldmark.evaluation.multilabel import multilabel_map
from fieldmark.evaluation.retrieval import retrieval_metrics
from fieldmark.evaluation.segmentation import mean_iou

__all__ = ["mean_iou", "multilabel_map", "retrieval_metrics", "revisited_map"]
