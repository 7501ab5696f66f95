"""Noun phrases of a text: tokenised, tagged, chunked, and cleaned of what says nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from fieldmark.language.builtin import BuiltinTagger
from fieldmark.language.chunking import Chunker
from fieldmark.language.schema import GENERIC
from fieldmark.language.tagging import Tagged, Tagger
from fieldmark.language.tokens import sentences, words


@dataclass(frozen=True)
class Extractor:
    """Everything between a caption and its phrases; `generic` are phrases that are dropped."""

    tagger: Tagger
    chunker: Chunker
    generic: Collection[str] = frozenset(GENERIC)

    def tagged(self, text: str) -> list[Tagged]:
        """Return the sentences of `text` as tagged words."""
        return [self.tagger.tag(words(sentence)) for sentence in sentences(text)]

    def phrases(self, text: str) -> list[str]:
        """Return the distinct phrases of `text` in order of appearance."""
        found = (phrase for tagged in self.tagged(text) for phrase in self.chunker.phrases(tagged))
        return [phrase for phrase in dict.fromkeys(found) if phrase not in self.generic]

    def of_captions(self, captions: Sequence[str], most: int | None = None) -> dict[str, list[int]]:
        """Return the first `most` distinct phrases of a picture's captions, with the captions that say each."""
        found: dict[str, list[int]] = {}
        for place, caption in enumerate(captions):
            for phrase in self.phrases(caption):
                found.setdefault(phrase, []).append(place)
        return dict(list(found.items())[:most])


def noun_phrases(text: str) -> list[str]:
    """Return the distinct noun phrases of `text`: lower case, without determiners, in order of appearance.

    A phrase that is a bare generic head ("bird", "flower") is left out. Tags come from the built-in tagger;
    `Extractor` takes another.
    """
    return _default().phrases(text)


@cache
def _default() -> Extractor:
    return Extractor(BuiltinTagger(), Chunker())
