"""Measures of what a model does: pure functions on arrays and tensors."""

from fieldmark.evaluation.landmarks import revisited_map
from fieldmark.evaluation.retrieval import retrieval_metrics

__all__ = ["retrieval_metrics", "revisited_map"]
