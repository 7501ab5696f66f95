"""What is trained: encoder, heads, views and losses."""

from fieldmark.methods.loca.model.method import Loca

METHOD = Loca

__all__ = ["METHOD", "Loca"]
