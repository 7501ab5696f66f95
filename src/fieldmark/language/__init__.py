"""Noun phrases of captions: tagging, chunking, and the extraction for a whole data set."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldmark.language.nouns import noun_phrases

__all__ = ["noun_phrases"]
_FILES = {"noun_phrases": "nouns"}


def __getattr__(name: str) -> Any:
    """Import `noun_phrases` when it is first used: who imports other files of this folder does not wait for it."""
    if name in _FILES:
        return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
