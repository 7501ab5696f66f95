"""Vectors of words in the files of GloVe, word2vec and fastText: only the words that are asked for are kept.

Text has a word and its numbers a line, with or without a first line of two numbers (how many words, how many
dimensions). word2vec's binary form begins with such a line; then, for each word, come its bytes, a space and its
numbers in 32 bits. Nothing in such a file is run, and of a damaged one no more is read than shows the damage.
"""

import gzip
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import UserError
from fieldmark.prompting.schema import kind_of

Vector = NDArray[np.float32]
LARGEST_DIM = 100_000  # more numbers are no vector of a word
LONGEST_LINE, LONGEST_WORD = 4_000_000, 10_000  # bytes
CHUNK = 1 << 22  # bytes of the binary form that are read at a time


def read_words(path: Path, words: Collection[str]) -> dict[str, Vector]:
    """Return the vectors (dim,) of those `words` that a file has; of a word that comes twice, the first one.

    Reading ends where all have been found. Raises UserError for a file that is absent, damaged or of another kind.
    """
    wanted, found = {word.encode() for word in words}, dict[str, Vector]()
    with _opened(path) as file:
        entries = (_binary if kind_of(path.name) == ".bin" else _text)(file, path, wanted)
        for word, vector in entries:
            found.setdefault(word.decode(), vector)
            if len(found) == len(wanted):
                break
    return found


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file, unpacked where it is packed. Raises UserError where it cannot be read."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path} is no whole .gz file: {error}") from None


def _text(file: BufferedIOBase, path: Path, wanted: set[bytes]) -> Iterator[tuple[bytes, Vector]]:
    """Yield those lines that are wanted, as word and vector."""
    first = _line(file, path, 1)
    header = _header(first)
    dim = header[1] if header else len(first.split()) - 1
    if not 1 <= dim <= LARGEST_DIM:
        raise UserError(f"{path} is no file of words: its first line has no word with its numbers")
    if header is None and (entry := _entry(first, dim, path, 1, wanted)):
        yield entry
    number = 1
    while line := _line(file, path, number + 1):
        number += 1
        if entry := _entry(line, dim, path, number, wanted):
            yield entry
    if header and number <= header[0]:
        raise UserError(f"{path} announces {header[0]} words and ends after {number - 1}; get it again")


def _line(file: BufferedIOBase, path: Path, number: int) -> bytes:
    line = file.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise UserError(f"{path} is no file of words: line {number} does not end")
    return line


def _header(line: bytes) -> tuple[int, int] | None:
    """Return how many words and dimensions the first line announces; None where it announces nothing."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 12 for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _entry(line: bytes, dim: int, path: Path, number: int, wanted: set[bytes]) -> tuple[bytes, Vector] | None:
    """Return word and vector of a line; None for a word that is not wanted. A few of GloVe's words have spaces."""
    if not line.strip() or line.split(None, 1)[0] not in wanted:
        return None
    fields = line.split()
    word = b" ".join(fields[:-dim])
    if len(fields) > dim and word not in wanted:
        return None
    try:
        vector = np.array([float(field) for field in fields[-dim:]], np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if len(fields) <= dim or len(vector) != dim:
        raise UserError(f"{path} is damaged: line {number} has no word with {dim} numbers; get it again")
    return word, vector


def _binary(file: BufferedIOBase, path: Path, wanted: set[bytes]) -> Iterator[tuple[bytes, Vector]]:
    """Yield those entries of word2vec's binary form that are wanted."""
    header = _header(file.readline(100))
    if header is None or not 1 <= header[1] <= LARGEST_DIM:
        raise UserError(f"{path} does not begin with the number of its words and of their dimensions")
    count, dim = header
    read, at = b"", 0
    for number in range(1, count + 1):
        while (end := read.find(b" ", at)) < 0 or len(read) < end + 1 + 4 * dim:
            more = file.read(CHUNK)
            if not more or (end < 0 and len(read) - at > LONGEST_WORD):
                raise UserError(f"{path} is damaged at word {number} of {count}; get it again")
            read, at = read[at:] + more, 0
        word = read[at:end].lstrip(b"\n")
        at = end + 1 + 4 * dim
        if word in wanted:
            yield word, np.frombuffer(read[end + 1 : at], "<f4").astype(np.float32)
