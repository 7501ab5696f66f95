"""What is reported: scores, claims and figures."""

from fieldmark.methods.irt.evaluation.scores import evaluate

__all__ = ["evaluate"]
