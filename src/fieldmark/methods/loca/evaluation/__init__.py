"""What is reported: dense scores, pretext accuracy, claims and figures."""

from fieldmark.methods.loca.evaluation.scores import evaluate

__all__ = ["evaluate"]
