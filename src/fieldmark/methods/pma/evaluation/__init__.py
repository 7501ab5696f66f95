"""What is reported: scores, claims and figures."""

from fieldmark.methods.pma.evaluation.scores import evaluate

__all__ = ["evaluate"]
