"""What the report says of extracted phrases: counts, the most frequent ones, a sample to browse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldmark.reporting.formatting import plain, words
from fieldmark.results.schema import PhrasesResult

TAGGERS = {"builtin": "built-in lexicon", "nltk": "NLTK averaged perceptron"}


@dataclass(frozen=True)
class PhrasesView:
    """One card: `facts` in large type, `details` in small, `frequent` phrases with their pictures as text."""

    name: str
    result: PhrasesResult
    tagger: str
    facts: Sequence[tuple[str, str]]
    details: Sequence[tuple[str, str]]
    frequent: Sequence[tuple[str, str]]


def phrases_view(name: str, result: PhrasesResult) -> PhrasesView:
    """Gather what a phrases report says."""
    return PhrasesView(
        name=name,
        result=result,
        tagger=TAGGERS.get(result.tagger, result.tagger),
        facts=[(words(key), plain(count)) for key, count in result.counts.items()],
        details=[
            ("phrases per picture", _spread(result.phrases_per_picture)),
            ("words outside the vocabulary", f"{100 * result.unknown_words:.1f} %"),
            ("grammar", result.grammar),
        ],
        frequent=[(phrase, plain(count)) for phrase, count in result.frequent],
    )


def _spread(counts: Mapping[str, float]) -> str:
    smallest, mean, largest = (counts.get(key, 0) for key in ("least", "mean", "most"))
    return f"{smallest:g} to {largest:g}, {mean:.1f} on average"
