"""What is reported: scores, claims and figures."""

from fieldmark.methods.frpt.evaluation.scores import evaluate

__all__ = ["evaluate"]
