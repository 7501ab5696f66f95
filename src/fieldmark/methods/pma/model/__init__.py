"""What is trained: phrase encoder, progressive mask attention, classifier."""

from fieldmark.methods.pma.model.method import Pma

METHOD = Pma

__all__ = ["METHOD", "Pma"]
