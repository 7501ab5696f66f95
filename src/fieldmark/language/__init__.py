"""What the words say: noun phrases of captions, vocabularies of them, and what CLIP makes of names."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldmark.language.nouns import noun_phrases

__all__ = ["noun_phrases"]
_FILES = {"noun_phrases": "nouns"}


def __getattr__(name: str) -> Any:
    """Import late: what else this folder holds does not depend on how phrases are made."""
    if name in _FILES:
        return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
