"""From tagged words to noun phrases: the chunks of a grammar over tags."""

from collections.abc import Sequence
from functools import lru_cache

from nltk import RegexpParser
from nltk.tree import Tree

from fieldmark.base.errors import UserError
from fieldmark.language.schema import GRAMMAR
from fieldmark.language.tagging import Tagged

DETERMINERS = ("DT", "PDT", "WDT", "PRP$", "WP$")
_REMEMBERED = 100_000  # how many sequences of tags are cached


class Chunker:
    """Finds the noun phrases of tagged sentences.

    `grammar` is in the notation of nltk.RegexpParser; every chunk that it makes is a phrase. Raises UserError
    when it is malformed.
    """

    def __init__(self, grammar: str = GRAMMAR) -> None:
        if not grammar.strip():
            raise UserError("grammar: it is empty; write one rule a line, such as NP: {<JJ>*<NN>+}")
        try:
            self._parser = RegexpParser(grammar)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"grammar: nltk.RegexpParser refuses {grammar!r} ({reason[:120]})") from None
        self._spans = lru_cache(_REMEMBERED)(self._parse)

    def phrases(self, tagged: Tagged) -> list[str]:
        """Return the phrases of a sentence in order, words joined by blanks, determiners left out.

        "No" stays, since "no wing bars" says the contrary of "wing bars".
        """
        phrases = []
        for start, stop in self._spans(tuple(tag for _, tag in tagged)):
            kept = [word for word, tag in tagged[start:stop] if tag not in DETERMINERS or word == "no"]
            if phrase := " ".join(filter(None, map(_bare, kept))):
                phrases.append(phrase)
        return phrases

    def _parse(self, tags: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """Return (start, stop) of each chunk. They depend on the tags alone, so that caching by tags pays."""
        if not tags:
            return ()
        spans, start = [], 0
        for node in self._parser.parse([("", tag) for tag in tags]):
            size = len(node.leaves()) if isinstance(node, Tree) else 1
            if isinstance(node, Tree):
                spans.append((start, start + size))
            start += size
        return tuple(spans)


def _bare(word: str) -> str:
    """Strip characters that are neither letters nor digits from both ends of a word."""
    start, stop = 0, len(word)
    while start < stop and not word[start].isalnum():
        start += 1
    while stop > start and not word[stop - 1].isalnum():
        stop -= 1
    return word[start:stop]
