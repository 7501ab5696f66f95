"""What the words say: noun phrases of captions, and vocabularies of them."""

from fieldmark.language.nouns import noun_phrases

__all__ = ["noun_phrases"]
