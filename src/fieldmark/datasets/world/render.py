"""One photograph from its place in the world, and a whole world in parallel."""

import io
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from PIL import Image

from fieldmark.datasets.world import anatomy, backgrounds
from fieldmark.datasets.world.base import Kind
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.captions import write_captions
from fieldmark.datasets.world.lens import photograph
from fieldmark.datasets.world.objects import draw_thing
from fieldmark.datasets.world.parts import LABEL
from fieldmark.datasets.world.plumage import draw_bird
from fieldmark.datasets.world.species import Species

JPEG_QUALITY = 92
RUN_LENGTH_ONLY = 3  # zlib strategy Z_RLE: no hash chains, so every zlib gives the same bytes
CHUNK = 24

Fractions = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shot:
    """One rendered photograph. `box` is x, y, width, height in pixels."""

    image: bytes
    mask: bytes
    box: tuple[float, float, float, float]
    captions: tuple[str, ...]


def render(kind: Kind, key: str, side: int, captions: int) -> Shot:
    """Render the photograph that `key` names: the same kind, key and side give the same bytes."""
    rng = random.Random(f"{key}/picture")
    canvas, size = (_bird_scene if isinstance(kind, Species) else _thing_scene)(kind, rng, side)
    drawing, labels, silhouette = canvas.finish()
    picture = photograph(rng, drawing, silhouette, size * side)
    texts = write_captions(random.Random(f"{key}/captions"), kind.attributes, captions)
    return Shot(_jpeg(picture), _png(labels), _box(labels), texts)


def _scale(rng: random.Random) -> float:
    """Return the extent of the subject as a fraction of the side: mostly large, sometimes far away."""
    return rng.uniform(0.36, 0.6) if rng.random() < 0.25 else rng.uniform(0.6, 0.94)


def _arrange(rng: random.Random, extent: Fractions, mirrored: bool) -> tuple[float, float, float, Fractions]:
    """Place left, bottom, right, top in the picture: origin x, y, scale, and the box in fractions from the top."""
    left, bottom, right, top = (-extent[2], extent[1], -extent[0], extent[3]) if mirrored else extent
    scale = _scale(rng) / max(right - left, top - bottom)
    width, height = scale * (right - left), scale * (top - bottom)
    x = rng.uniform(-0.02, max(0.0, 1.02 - width))
    y = rng.uniform(0.02, max(0.02, 0.98 - height))
    return x - scale * left, y + scale * top, scale, (x, y, x + width, y + height)


def _bird_scene(kind: Species, rng: random.Random, side: int) -> tuple[Canvas, float]:
    bird = anatomy.pose(rng, kind.build)
    mirrored = rng.random() < 0.5
    x, y, scale, box = _arrange(rng, bird.extent(), mirrored)
    feet = (bird.legs[0][2] + bird.legs[1][2]) / 2
    foot = (x + scale * float(feet[0]) * (-1 if mirrored else 1), y - scale * float(feet[1]))
    if bird.setting == "swim":
        foot = (x, y + scale * 0.12)
    ground, low = backgrounds.background(rng, bird.setting, side, foot[1])
    canvas = Canvas(ground)
    if bird.setting == "perch":
        backgrounds.draw_branch(canvas, rng, foot, scale)
    elif bird.setting == "ground":
        backgrounds.draw_ground(canvas, rng, foot, scale, low)
    canvas.place(x, y, scale, mirrored)
    draw_bird(canvas, rng, bird, kind.attributes)
    if bird.setting in ("water", "swim"):
        backgrounds.draw_ripples(canvas, rng, foot, scale, low)
    if rng.random() < 0.35:
        backgrounds.draw_occluders(canvas, rng, box)
    return canvas, max(box[2] - box[0], box[3] - box[1])


def _thing_scene(kind: Kind, rng: random.Random, side: int) -> tuple[Canvas, float]:
    mirrored = rng.random() < 0.5
    x, y, scale, box = _arrange(rng, (-1.0, -1.0, 1.0, 1.0), mirrored)
    setting = rng.choice(("ground", "air", "perch"))
    canvas = Canvas(backgrounds.background(rng, setting, side, box[3])[0])
    canvas.place(x, y, scale, mirrored)
    canvas.turn = rng.uniform(-24, 24)
    draw_thing(canvas, rng, kind.attributes)
    canvas.turn = 0.0
    if rng.random() < 0.35:
        backgrounds.draw_occluders(canvas, rng, box)
    return canvas, box[2] - box[0]


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
