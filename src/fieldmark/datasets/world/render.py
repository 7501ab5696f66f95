"""Rendering: one photograph from its index in the world, and a whole world in parallel."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from PIL import Image

from fieldmark.datasets.world.accounts import tell_scene
from fieldmark.datasets.world.base import Kind
from fieldmark.datasets.world.captions import write_captions
from fieldmark.datasets.world.composition import compose
from fieldmark.datasets.world.lens import photograph
from fieldmark.datasets.world.parts import LABEL
from fieldmark.datasets.world.randomness import stream
from fieldmark.datasets.world.scenes import HABITATS, Catalogue, make_scene
from fieldmark.datasets.world.staging import seen, stage

JPEG_QUALITY = 92
RUN_LENGTH_ONLY = 3  # zlib strategy Z_RLE: no hash chains, so every zlib gives the same bytes
CHUNK = 24
SUBJECT = 0.3  # how large the light takes the things of a scene to be, as a fraction of the side
SEEN = 0.003  # the fraction of a picture that a category must cover to be named among its labels


@dataclass(frozen=True)
class Shot:
    """One rendered photograph.

    `box` is x, y, width, height in pixels; a scene has none, but `labels` that name the categories seen in it.
    """

    image: bytes
    mask: bytes
    box: tuple[float, float, float, float] | None
    captions: tuple[str, ...]
    labels: tuple[str, ...] = ()


def render(kind: Kind, key: str, side: int, captions: int) -> Shot:
    """Render the photograph that `key` names: the same kind, key and side give the same bytes."""
    rng = stream(key, "picture")
    canvas, size = compose(kind, rng, side)
    drawing, labels, silhouette = canvas.finish()
    picture = photograph(rng, drawing, silhouette, size * side)
    texts = write_captions(stream(key, "captions"), kind.attributes, captions)
    return Shot(_jpeg(picture), _png(labels), _box(labels), texts)


def render_scene(habitat: str, key: str, side: int, captions: int, catalogue: Catalogue) -> Shot:
    """Render the scene that `key` names, of the categories of a catalogue."""
    rng = stream(key, "picture")
    drawing, labels, silhouette = stage(
        make_scene(rng, habitat, catalogue), catalogue.categories, rng, side
    ).finish()
    picture = photograph(rng, drawing, silhouette, SUBJECT * side)
    names = tuple(sorted(catalogue.categories[i].name for i in seen(labels, SEEN)))
    texts = tell_scene(stream(key, "captions"), habitat, names, captions)
    return Shot(_jpeg(picture), _png(labels), None, texts, names)


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _png(labels: Image.Image) -> bytes:
    buffer = io.BytesIO()
    labels.save(buffer, "PNG", compress_type=RUN_LENGTH_ONLY, compress_level=6)
    return buffer.getvalue()


def _box(labels: Image.Image) -> tuple[float, float, float, float]:
    """Return the box around all pixels that are labelled neither background nor occluder."""
    values = np.asarray(labels)
    seen = (values != LABEL["background"]) & (values != LABEL["occluder"])
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return float(left), float(top), float(columns[-1] - left + 1), float(rows[-1] - top + 1)


def _render_one(kinds: list[Kind], world: str, side: int, captions: int, indices: tuple[int, int]) -> Shot:
    return render(kinds[indices[0]], f"{world}/{indices[0]}/{indices[1]}", side, captions)


def _render_scene(
    catalogue: Catalogue, world: str, side: int, captions: int, indices: tuple[int, int]
) -> Shot:
    habitat = HABITATS[indices[0]]
    return render_scene(habitat, f"{world}/{habitat}/{indices[1]}", side, captions, catalogue)


def render_all(
    kinds: list[Kind], world: str, photographs: int, side: int, captions: int, processes: int = 1
) -> Iterator[tuple[int, int, Shot]]:
    """Yield class index, photograph index and shot, in order, rendered by so many processes.

    `world` names seed and part. A photograph depends on nothing but `world` and its two indices.
    """
    keys = [(c, p) for c in range(len(kinds)) for p in range(photographs)]
    return _in_parallel(partial(_render_one, kinds, world, side, captions), keys, processes)


def render_scenes(
    catalogue: Catalogue,
    habitats: int,
    world: str,
    photographs: int,
    side: int,
    captions: int,
    processes: int = 1,
) -> Iterator[tuple[int, int, Shot]]:
    """Yield habitat index, photograph index and shot of `photographs` scenes per habitat, as `render_all` does."""
    keys = [(h, p) for h in range(habitats) for p in range(photographs)]
    return _in_parallel(partial(_render_scene, catalogue, world, side, captions), keys, processes)


def _in_parallel(
    render_key: Callable[[tuple[int, int]], Shot], keys: list[tuple[int, int]], processes: int
) -> Iterator[tuple[int, int, Shot]]:
    count = min(processes, -(-len(keys) // CHUNK))
    if count == 1:
        yield from ((*key, render_key(key)) for key in keys)
        return
    # Spawned workers inherit no threads and no locks, and behave alike on every platform.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        for key, shot in zip(keys, pool.map(render_key, keys, chunksize=CHUNK), strict=True):
            yield *key, shot
