"""One photograph from its place in the world, and a whole world in parallel."""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from PIL import Image

from fieldmark.datasets.world.base import Kind
from fieldmark.datasets.world.captions import write_captions
from fieldmark.datasets.world.composition import compose
from fieldmark.datasets.world.lens import photograph
from fieldmark.datasets.world.parts import LABEL
from fieldmark.datasets.world.randomness import stream

JPEG_QUALITY = 92
RUN_LENGTH_ONLY = 3  # zlib strategy Z_RLE: no hash chains, so every zlib gives the same bytes
CHUNK = 24


@dataclass(frozen=True)
class Shot:
    """One rendered photograph. `box` is x, y, width, height in pixels."""

    image: bytes
    mask: bytes
    box: tuple[float, float, float, float]
    captions: tuple[str, ...]


def render(kind: Kind, key: str, side: int, captions: int) -> Shot:
    """Render the photograph that `key` names: the same kind, key and side give the same bytes."""
    rng = stream(key, "picture")
    canvas, size = compose(kind, rng, side)
    drawing, labels, silhouette = canvas.finish()
    picture = photograph(rng, drawing, silhouette, size * side)
    texts = write_captions(stream(key, "captions"), kind.attributes, captions)
    return Shot(_jpeg(picture), _png(labels), _box(labels), texts)


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _png(labels: Image.Image) -> bytes:
    buffer = io.BytesIO()
    labels.save(buffer, "PNG", compress_type=RUN_LENGTH_ONLY, compress_level=6)
    return buffer.getvalue()


def _box(labels: Image.Image) -> tuple[float, float, float, float]:
    """Return the extent of everything labelled but background and occluder."""
    values = np.asarray(labels)
    seen = (values != LABEL["background"]) & (values != LABEL["occluder"])
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return float(left), float(top), float(columns[-1] - left + 1), float(rows[-1] - top + 1)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _render_one(kinds: list[Kind], world: str, side: int, captions: int, place: tuple[int, int]) -> Shot:
    return render(kinds[place[0]], f"{world}/{place[0]}/{place[1]}", side, captions)


def render_all(
    kinds: list[Kind], world: str, photographs: int, side: int, captions: int, processes: int | None = None
) -> Iterator[tuple[int, int, Shot]]:
    """Yield class index, photograph index and shot, in order, rendered by all processors.

    `world` names seed and part; it and the two indices are all that a photograph depends on.
    """
    places = [(c, p) for c in range(len(kinds)) for p in range(photographs)]
    one = partial(_render_one, kinds, world, side, captions)
    count = min(processes or processors(), -(-len(places) // CHUNK))
    if count == 1:
        yield from ((c, p, one((c, p))) for c, p in places)
        return
    # Spawned workers inherit no threads and no locks, and behave alike on every platform.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        for (c, p), shot in zip(places, pool.map(one, places, chunksize=CHUNK), strict=True):
            yield c, p, shot
