"""A small tagger that needs no download: a lexicon, the endings of words, and rules about neighbouring words.

It knows the English of descriptions ("this bird has a short orange bill") and is there nearly as good as a trained
tagger; it knows little of other English.
"""

from collections.abc import Sequence

from fieldmark.language.lexicon import (
    ADJECTIVE_OR_NOUN,
    ADVERB_OR_ADJECTIVE,
    AFTER_NOUN,
    LEXICON,
    NOUN_OR_ADVERB,
    PLACES,
    VERB_OR_NOUN,
)
from fieldmark.language.tagging import Tagged

_ENDINGS = {  # the first ending that fits decides
    "ly": "RB", "ing": "VBG", "ed": "VBN", "ish": "JJ", "ous": "JJ", "ful": "JJ", "less": "JJ", "able": "JJ",
    "ible": "JJ", "like": "JJ", "ic": "JJ", "ive": "JJ", "ial": "JJ", "iest": "JJS", "ss": "NN", "us": "NN",
    "is": "NN", "s": "NNS", "ity": "NN", "ry": "NN",
}  # fmt: skip
_SHORTEST_STEM = 3
_BEFORE_VERB = ("NN", "NNS", "WDT", "PRP", "RB", "RP", "EX")
_MODIFIERS = ("JJ", "JJR", "JJS", "VBN", "VBG", "CD")
_OPENS_NOUN = ("DT", "PRP$", "POS", *_MODIFIERS)
_BEFORE_NOUN = ("DT", "PRP$", "POS", "JJ", "JJR", "JJS", "NN", "CC", ",", "")
_PARTICIPLES = ("VBN", "VBG")
_NOUN_LIKE = ("NN", "NNS", *_MODIFIERS)


class BuiltinTagger:
    """Tags words by the lexicon, then by their ending; where a word is ambiguous, its neighbours decide."""

    def tag(self, words: Sequence[str]) -> Tagged:
        """Return each of `words` (lower case, punctuation apart) with its Penn Treebank tag, in order."""
        tags = [_alone(word) for word in words]
        for index in range(len(words)):
            tags[index] = _before_noun(words, tags, index)
        for index, word in enumerate(words):
            before = tags[index - 1] if index else ""
            after = tags[index + 1] if index + 1 < len(tags) else ""
            tags[index] = _among(word, tags[index], before, after)
        return list(zip(words, tags, strict=True))


def _before_noun(words: Sequence[str], tags: Sequence[str], index: int) -> str:
    """Return the tag of the word at `index`: an adjective where it is one before a noun (dagger shaped bill)."""
    after, later = (*tags[index + 1 : index + 3], "", "")[:2]
    compound = tags[index] == "NN" and after and words[index + 1] in AFTER_NOUN and later in _NOUN_LIKE
    turned = words[index] in ADVERB_OR_ADJECTIVE and after in _NOUN_LIKE
    return "JJ" if compound or turned else tags[index]


def _alone(word: str) -> str:
    """Return the tag of a word without its neighbours."""
    if word in LEXICON:
        return LEXICON[word]
    if not any(letter.isalpha() for letter in word):
        return "CD" if any(letter.isdigit() for letter in word) else _punctuation(word)
    if "-" in word.strip("-"):
        return _hyphenated(word.strip("-").rpartition("-")[2])
    return _by_ending(word)


def _punctuation(word: str) -> str:
    return word if word in (",", "(", ")") else ":"


def _hyphenated(last: str) -> str:
    """Tag a compound by its last part: red-winged, grey-black and duck-like are adjectives, wing-bar is a noun."""
    tag = LEXICON.get(last) or _by_ending(last)
    return "JJ" if last in AFTER_NOUN or tag in ("RB", *_MODIFIERS) else tag


def _by_ending(word: str) -> str:
    if word.endswith("s") and LEXICON.get(word[:-1]) == "NN":
        return "NNS"
    for ending, tag in _ENDINGS.items():
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return tag
    return "JJ" if word.endswith("y") and len(word) > _SHORTEST_STEM + 1 else "NN"


def _among(word: str, tag: str, before: str, after: str) -> str:
    """Return the tag of a word, corrected where its neighbours decide."""
    if word == "that":
        return _that(before, after)
    if word == "'s" and before in ("PRP", "WDT", "EX"):
        return "VBZ"
    if word in NOUN_OR_ADVERB:
        return "NN" if before in _BEFORE_NOUN else "RB"
    if after in _NOUN_LIKE:
        return tag
    if word in VERB_OR_NOUN and before in _BEFORE_VERB:
        return "VBZ"
    if word in PLACES and before in _OPENS_NOUN:
        return "NN"
    if word in ADJECTIVE_OR_NOUN and before == "IN" and after in ("", "IN", ",", "WDT"):
        return "NN"  # white with grey on its wings
    ends_phrase = before in ("DT", "PRP$") and after not in ("CC", ",")
    return "NN" if ends_phrase and (word in ADJECTIVE_OR_NOUN or tag in _PARTICIPLES) else tag


def _that(before: str, after: str) -> str:
    """A relative pronoun after a noun and before a verb, a determiner before a noun, else a conjunction."""
    if before in ("NN", "NNS") and not after.startswith(("NN", "DT", "PRP")):
        return "WDT"
    return "DT" if after in _NOUN_LIKE else "IN"
