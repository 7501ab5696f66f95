"""What is reported: scores, claims and figures."""

from fieldmark.methods.cprfl.evaluation.scores import evaluate

__all__ = ["evaluate"]
