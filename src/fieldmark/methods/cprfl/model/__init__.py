"""What is trained: category prompts that look at a picture's tokens, and linear classifiers beside them."""

from fieldmark.methods.cprfl.model.method import Cprfl

METHOD = Cprfl

__all__ = ["METHOD", "Cprfl"]
