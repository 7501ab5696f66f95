"""The noun phrases of a prepared data set: their files, and the numbers and vectors that a phrase encoder reads."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, write_text
from fieldmark.datasets.data.packed.manifest import read_table, write_table

if TYPE_CHECKING:
    from torch import Tensor

PADDING, UNKNOWN = "<pad>", "<unk>"  # words 0 and 1 of every vocabulary
FRAME, VOCABULARY = "phrases.parquet", "vocabulary.txt"
EMBEDDED, VECTORS = "embedded.txt", "vectors.safetensors"
COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # index in the image store
        pa.field("phrases", pa.list_(pa.string()), nullable=False),
        pa.field("captions", pa.list_(pa.list_(pa.int64())), nullable=False),
    ]
)
_REMEDY = "run `phrases` first"


@dataclass(frozen=True)
class Phrases:
    """Phrases of every picture, and the words known from training pictures.

    `frame` has one row per picture of the manifest, in the same order, with the columns `id`, `row`, `phrases` (a list
    of distinct lower-case phrases, perhaps empty) and `captions` (for each phrase the indices of the captions that
    say it). `vocabulary` starts with the padding and the unknown word; the number of a word is its index.
    """

    frame: pd.DataFrame
    vocabulary: list[str]


@dataclass(frozen=True)
class PhraseVectors:
    """The P distinct phrases of a data set in a CLIP's text space, `vectors` (P, m) of unit length.

    They are in half precision because every model that reads them is saved with all of them; it is enough, since a
    layer is learnt on top.
    """

    phrases: list[str]
    vectors: NDArray[np.float16]


def write_phrases(phrases: Phrases, folder: Path) -> None:
    """Write phrases and vocabulary into an existing folder; the same phrases give the same bytes."""
    write_table(phrases.frame, COLUMNS, folder / FRAME)
    write_text(folder / VOCABULARY, "".join(f"{word}\n" for word in phrases.vocabulary))


def read_phrases(folder: Path) -> Phrases:
    """Read what `write_phrases` wrote. Raises UserError when it is absent, damaged or of another version."""
    table = read_table(folder / FRAME, COLUMNS, _REMEDY)
    frame: pd.DataFrame = table.select(["id", "row"]).to_pandas()
    for name in ("phrases", "captions"):
        frame[name] = pd.Series(table[name].to_pylist(), dtype=object)
    path = folder / VOCABULARY
    if not path.is_file():
        raise UserError(f"{path} does not exist; {_REMEDY}")
    words = path.read_text(encoding="utf-8").splitlines()
    if words[:2] != [PADDING, UNKNOWN]:
        raise UserError(f"{path} is damaged; delete it and {_REMEDY}")
    return Phrases(frame, words)


def write_vectors(embedded: PhraseVectors, folder: Path) -> None:
    """Write vectors into an existing folder, beside the phrases."""
    write_text(folder / EMBEDDED, "".join(f"{phrase}\n" for phrase in embedded.phrases))
    with atomic_path(folder / VECTORS) as temporary:
        save_file({"vectors": embedded.vectors}, temporary)


def read_vectors(folder: Path) -> PhraseVectors | None:
    """Read what `write_vectors` wrote, None where there is nothing. Raises UserError when it is damaged."""
    if not (folder / VECTORS).is_file() or not (folder / EMBEDDED).is_file():
        return None
    phrases = (folder / EMBEDDED).read_text(encoding="utf-8").splitlines()
    try:
        vectors = load_file(folder / VECTORS)["vectors"]
    except (SafetensorError, KeyError):
        vectors = np.zeros((0, 0), np.float16)
    if len(vectors) != len(phrases) or vectors.ndim != 2 or vectors.shape[1] == 0:
        raise UserError(f"{folder / VECTORS} is damaged; delete it and {_REMEDY}")
    return PhraseVectors(phrases, vectors)


def build_vocabulary(phrases: Iterable[Sequence[str]], min_count: int) -> list[str]:
    """Return the vocabulary of the phrases of training pictures: by falling frequency, then by spelling.

    A word counts once for each phrase of each picture. Words that count less than `min_count` become <unk>.
    """
    counts = Counter(word for of_picture in phrases for phrase in of_picture for word in phrase.split())
    known = [word for word, count in counts.items() if count >= min_count]
    return [PADDING, UNKNOWN, *sorted(known, key=lambda word: (-counts[word], word))]


def encode(
    phrases: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
    max_phrases: int | None = None,
    max_words: int | None = None,
    whole: bool = False,
) -> "Tensor":
    """Return word numbers, (N pictures, n phrases, w words) int64, padded with 0; an absent phrase is all 0.

    n is `max_phrases` and w is `max_words`; without them they are the largest numbers that occur, at least 1. A
    picture keeps its first n phrases, and a phrase keeps its last w words, among which is its head. A word that is
    not in `vocabulary` (as in `Phrases`) is 1. `whole` takes each phrase for one word.
    """
    import torch  # takes seconds, which the processes that extract phrases must not spend

    numbers = {word: number for number, word in enumerate(vocabulary)}
    split = [[[phrase] if whole else phrase.split() for phrase in of_picture] for of_picture in phrases]
    n = max_phrases or max([1, *map(len, split)])
    w = max_words or max([1, *(len(words) for of_picture in split for words in of_picture)])
    encoded = np.zeros((len(split), n, w), np.int64)
    for picture, of_picture in enumerate(split):
        for index, words in enumerate(of_picture[:n]):
            kept = words[-w:]
            encoded[picture, index, : len(kept)] = [numbers.get(word, 1) for word in kept]
    return torch.from_numpy(encoded)
