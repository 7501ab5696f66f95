"""What is trained: descriptor, memory and losses."""

from fieldmark.methods.irt.model.method import Irt

METHOD = Irt

__all__ = ["METHOD", "Irt"]
