"""From captions to sentences, and from sentences to words."""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer

# The end of a sentence inside a caption. A full stop inside a number or a word does not end one.
_END = re.compile(r"[.!?;:]+(?=\s|$)|[.!?;](?=[^\W\d_]{2})|[\r\n]+")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"'})


def sentences(text: str) -> list[str]:
    """Return the sentences of a caption in lower case, without the punctuation that ends them."""
    parts = _END.split(text.lower().translate(_QUOTES))
    return [part for part in map(str.strip, parts) if part]


def words(sentence: str) -> list[str]:
    """Return the words and punctuation marks of a sentence as NLTK's word tokeniser divides it."""
    return list(_tokenizer().tokenize(sentence))


@cache
def _tokenizer() -> "NLTKWordTokenizer":
    from nltk.tokenize import NLTKWordTokenizer  # NLTK takes seconds to import

    return NLTKWordTokenizer()
