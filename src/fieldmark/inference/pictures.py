"""Picture files that a user names: those in folders found, decoded ahead, and damaged ones named and passed over."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fieldmark.base.errors import UserError
from fieldmark.base.progress import progress
from fieldmark.datasets.acquire.listing import is_picture
from fieldmark.datasets.acquire.walking import walk
from fieldmark.trained import BATCH, Picture, read_pixels

THREADS = 2  # that decode while the model computes
T = TypeVar("T")


class Skipped(NamedTuple):
    """A file that is no picture, with the reason in one line."""

    path: Path
    reason: str


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """Return the picture files among `given`, each once: files as they are, folders with all below them, sorted.

    A folder is walked as the source `folder` does it: links are followed, and hidden files and files that are no
    pictures by their ending are passed over. Raises UserError for a path that does not exist, and without a picture.
    """
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            found.update((path / name, None) for name in walk(path) if is_picture(name))
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"there is no file or folder {path}")
    if not found:
        raise UserError(f"there is no picture in {', '.join(map(str, given))}")
    return list(found)


def in_batches(
    function: Callable[[Sequence[Picture]], T], paths: Sequence[Path], skipped: list[Skipped], action: str
) -> Iterator[tuple[list[Path], T]]:
    """Yield the paths and what `function` returns for their pixels, by batches of BATCH pictures, in order.

    A file that cannot be read is named on standard error and added to `skipped`. Memory holds two batches at most.
    Raises UserError when no file can be read.
    """
    with progress(total=len(paths), desc=action, unit="picture") as bar:
        for chunk, pixels in _decoded_ahead(paths):
            whole = []
            for path, read in zip(chunk, pixels, strict=True):
                if isinstance(read, Skipped):
                    skipped.append(read)
                    tqdm.write(f"skipped: {read.reason}", file=sys.stderr)
                else:
                    whole.append((path, read))
            if whole:
                yield [path for path, _ in whole], function([read for _, read in whole])
            bar.update(len(chunk))
    if len(skipped) == len(paths):
        raise UserError(f"none of the {len(paths)} files can be read as a picture")


def _decoded_ahead(paths: Sequence[Path]) -> Iterator[tuple[list[Path], list[NDArray[np.uint8] | Skipped]]]:
    """Yield batches of paths with their pixels; the next batch is decoded while one is used."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: tuple[list[Path], list[Future[NDArray[np.uint8] | Skipped]]] | None = None
        for start in range(0, len(paths), BATCH):
            chunk = list(paths[start : start + BATCH])
            coming = chunk, [pool.submit(_read, path) for path in chunk]
            if waiting:
                yield waiting[0], [future.result() for future in waiting[1]]
            waiting = coming
        if waiting:
            yield waiting[0], [future.result() for future in waiting[1]]


def _read(path: Path) -> NDArray[np.uint8] | Skipped:
    try:
        return read_pixels(path)
    except UserError as error:
        return Skipped(path, str(error))
