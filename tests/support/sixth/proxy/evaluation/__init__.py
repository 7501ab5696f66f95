"""What is reported: scores, a figure and a claim."""

from fieldmark.methods.proxy.evaluation.scores import evaluate

__all__ = ["evaluate"]
