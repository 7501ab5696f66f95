"""The noun phrases of a text: it is tokenised, tagged and chunked, and phrases that say nothing are dropped."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from fieldmark.language.tokens import sentences, words

if TYPE_CHECKING:
    from fieldmark.language.chunking import Chunker
    from fieldmark.language.tagging import Tagged, Tagger

# Nouns that say nothing about a picture when they are the whole phrase.
GENERIC = (
    *("bird", "birds", "flower", "flowers", "car", "cars", "plane", "planes", "airplane", "aircraft"),
    *("picture", "photo", "image", "color", "colour", "particular bird"),
)


@dataclass(frozen=True)
class Extractor:
    """Turns captions into phrases; `generic` are phrases that are dropped."""

    tagger: "Tagger"
    chunker: "Chunker"
    generic: Collection[str] = frozenset(GENERIC)

    def tagged(self, text: str) -> "list[Tagged]":
        """Return the sentences of `text` as tagged words."""
        return [self.tagger.tag(words(sentence)) for sentence in sentences(text)]

    def phrases(self, text: str) -> list[str]:
        """Return the distinct phrases of `text` in order of appearance."""
        phrases = (phrase for tagged in self.tagged(text) for phrase in self.chunker.phrases(tagged))
        return [phrase for phrase in dict.fromkeys(phrases) if phrase not in self.generic]

    def of_captions(self, captions: Sequence[str], limit: int | None = None) -> dict[str, list[int]]:
        """Return the first `limit` distinct phrases of a picture's captions, with the captions that say each."""
        said_by: dict[str, list[int]] = {}
        for index, caption in enumerate(captions):
            for phrase in self.phrases(caption):
                said_by.setdefault(phrase, []).append(index)
        return dict(list(said_by.items())[:limit])


def noun_phrases(text: str) -> list[str]:
    """Return the distinct noun phrases of `text`: lower case, without determiners, in order of appearance.

    PMA (Song et al., IEEE TIP 29, 2020) reads such phrases of captions and gives no grammar; here a phrase is
    adverbs, then adjectives, participles or numbers, then nouns (`language.schema.GRAMMAR`). A phrase that is a
    bare generic head ("bird", "flower") is left out. Tags come from the built-in tagger, which knows the English
    of descriptions; `Extractor` takes another. No text is refused: one without phrases gives an empty list.

    >>> from fieldmark.language import noun_phrases
    >>> noun_phrases("This bird has a short orange bill and no wing bars. Its belly is white.")
    ['short orange bill', 'no wing bars', 'belly']
    """
    return _default().phrases(text)


@cache
def _default() -> Extractor:
    # NLTK takes seconds to import, so it is imported only when a phrase is asked for.
    from fieldmark.language.builtin import BuiltinTagger
    from fieldmark.language.chunking import Chunker

    return Extractor(BuiltinTagger(), Chunker())
