"""What is trained: the prompt before a frozen backbone, and the head behind it."""

from fieldmark.methods.frpt.model.method import Frpt

METHOD = Frpt

__all__ = ["METHOD", "Frpt"]
