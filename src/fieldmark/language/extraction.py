"""Phrases of a whole data set: they are extracted from every caption, the vocabulary is built, and all is counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from fieldmark.base.processors import processors
from fieldmark.base.progress import progress
from fieldmark.language.chunking import Chunker
from fieldmark.language.nouns import Extractor
from fieldmark.language.schema import PhrasesParams
from fieldmark.language.tagging import open_tagger
from fieldmark.texts.phrases import Phrases, build_vocabulary

MANY_CAPTIONS = 20_000  # from this number on, starting several processes saves time
CHUNK = 200  # how many pictures a process takes at a time
FREQUENT, SAMPLE = 40, 20  # how many frequent phrases and how many pictures the report shows
PicturePhrases = dict[str, list[int]]  # phrases of a picture, with the indices of the captions that say each


def extract(
    manifest: pd.DataFrame,
    training_ids: Iterable[str],
    params: PhrasesParams,
    data: Path,
    processes: int | None = None,
) -> Phrases:
    """Return the phrases of every picture of `manifest`, and the vocabulary of those in `training_ids`.

    `data` is the folder of NLTK data for `tagger: nltk`. `processes` (None: one per processor where there are
    many captions) does not change the result.
    """
    captions = [list(texts) for texts in manifest["captions"]]
    count = processes or (processors() if sum(map(len, captions)) >= MANY_CAPTIONS else 1)
    bar = progress(_all(captions, params, data, count), total=len(captions), desc="phrases", unit="picture")
    per_picture: list[PicturePhrases] = list(bar)
    frame = manifest[["id", "row"]].reset_index(drop=True)
    frame["phrases"] = pd.Series([list(of_picture) for of_picture in per_picture], dtype=object)
    frame["captions"] = pd.Series([list(of_picture.values()) for of_picture in per_picture], dtype=object)
    trained = frame.loc[frame["id"].isin(set(training_ids)), "phrases"]
    return Phrases(frame, build_vocabulary(trained, params.min_count))


def describe(phrases: Phrases, manifest: pd.DataFrame, params: PhrasesParams, data: Path) -> dict[str, Any]:
    """Return what the report says: counts, the most frequent phrases, and a sample of pictures in full.

    The sample is spread evenly over the manifest and shows one caption per picture with its tagged words and its
    phrases.
    """
    per_picture = list(phrases.frame["phrases"])
    known = set(phrases.vocabulary)
    words = Counter(word for of_picture in per_picture for phrase in of_picture for word in phrase.split())
    counts = Counter(phrase for of_picture in per_picture for phrase in of_picture)
    lengths = [len(of_picture) for of_picture in per_picture]
    captioned = [index for index, texts in enumerate(manifest["captions"]) if texts]
    return {
        "dataset": params.dataset,
        "split": params.split,
        "tagger": params.tagger,
        "grammar": params.grammar,
        "counts": {
            "pictures": len(per_picture),
            "captions": int(manifest["captions"].map(len).sum()),
            "phrases": len(counts),
            "pictures_without_phrases": lengths.count(0),
            "pictures_at_the_limit": lengths.count(params.max_phrases),
            "vocabulary": len(phrases.vocabulary),
        },
        "phrases_per_picture": {
            "least": min(lengths, default=0),
            "mean": sum(lengths) / max(len(lengths), 1),
            "most": max(lengths, default=0),
        },
        "unknown_words": sum(n for word, n in words.items() if word not in known) / max(words.total(), 1),
        "frequent": [
            [phrase, n] for phrase, n in sorted(counts.items(), key=_most_frequent_first)[:FREQUENT]
        ],
        "sample": _sample(manifest, captioned, _extractor(params, data)),
    }


def _all(
    captions: Sequence[list[str]], params: PhrasesParams, data: Path, processes: int
) -> Iterator[PicturePhrases]:
    """Yield the phrases of each picture in order."""
    extract_picture = partial(_of_picture, params, data)
    if processes == 1:
        yield from map(extract_picture, captions)
        return
    # Spawned workers inherit no threads and no locks, and behave alike on every platform.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(extract_picture, captions, chunksize=CHUNK)


def _of_picture(params: PhrasesParams, data: Path, captions: Sequence[str]) -> PicturePhrases:
    return _extractor(params, data).of_captions(captions, params.max_phrases)


@cache
def _extractor(params: PhrasesParams, data: Path) -> Extractor:
    """Return the extractor that `params` describe; it is made once per process."""
    return Extractor(open_tagger(params.tagger, data), Chunker(params.grammar), frozenset(params.generic))


def _sample(manifest: pd.DataFrame, captioned: Sequence[int], extractor: Extractor) -> list[dict[str, Any]]:
    step = max(len(captioned) // SAMPLE, 1)
    sample = []
    for turn, index in enumerate(captioned[::step][:SAMPLE]):
        texts = manifest["captions"].iloc[index]
        caption = texts[turn % len(texts)]  # not the first of every picture: those are alike in form
        tagged = [[word, tag] for sentence in extractor.tagged(caption) for word, tag in sentence]
        sample.append(
            {
                "id": str(manifest["id"].iloc[index]),
                "caption": caption,
                "tagged": tagged,
                "phrases": extractor.phrases(caption),
            }
        )
    return sample


def _most_frequent_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
