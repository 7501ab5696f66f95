"""What the words say: noun phrases of captions, vocabularies of them, and what CLIP makes of names."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldmark.language.nouns import noun_phrases

__all__ = ["noun_phrases"]


def __getattr__(name: str) -> Any:
    """Import late: who reads phrases from files needs no NLTK, and does not depend on how they were made."""
    if name in __all__:
        return getattr(import_module("fieldmark.language.nouns"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
