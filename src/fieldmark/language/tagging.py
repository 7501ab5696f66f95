"""What a part-of-speech tagger is, and the choice between the two of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fieldmark.language.schema import TaggerName

Tagged = list[tuple[str, str]]  # (word, tag of the Penn Treebank)


class Tagger(Protocol):
    """Gives each word of a sentence its part of speech."""

    def tag(self, words: Sequence[str]) -> Tagged:
        """Return each of `words` (lower case, punctuation apart) with its Penn Treebank tag, in order."""
        ...


def open_tagger(name: TaggerName, data: Path) -> Tagger:
    """Return the tagger `name`; "nltk" reads its model from the NLTK data folder `data`.

    Raises UserError when the model is not there or damaged.
    """
    if name == "builtin":
        from fieldmark.language.builtin import BuiltinTagger

        return BuiltinTagger()
    from fieldmark.language.perceptron import NltkTagger  # nltk.tag is slow to import

    return NltkTagger(data)
