"""Staging a scene: drawing the ground of its habitat, then everything on it from the far to the near.

What stands farther back stands higher in the picture and is smaller. The value of a mask at a pixel is the index of
the category that is seen there, counted from 1; it is 0 where there is none.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fieldmark.datasets.world import anatomy, backgrounds
from fieldmark.datasets.world.backgrounds import COARSE, WATERS
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.families import FAMILIES
from fieldmark.datasets.world.geometry import arc
from fieldmark.datasets.world.palette import COLOURS, Colour, individual, shade
from fieldmark.datasets.world.plumage import draw_bird
from fieldmark.datasets.world.scenery import draw_bench, draw_fence, draw_reeds, draw_rock
from fieldmark.datasets.world.scenes import Category, Placed, Scene

SCENERY = {"reeds": draw_reeds, "rock": draw_rock, "fence": draw_fence, "bench": draw_bench}
FEET = {"house": -0.85, "car": -0.57, "mushroom": -0.9, "boat": -0.72, "umbrella": -0.9}
PATTERNS = ("plain", "plain", "striped", "spotted")
GRASS: tuple[Colour, Colour] = ((118, 146, 70), (74, 102, 48))
LITTER: tuple[Colour, Colour] = ((124, 98, 66), (82, 66, 44))
PATH: tuple[Colour, Colour] = ((172, 160, 142), (128, 116, 102))
SAND: tuple[Colour, Colour] = ((216, 198, 156), (180, 158, 116))


@dataclass(frozen=True)
class Ground:
    """Where things may stand: the horizon, and the ranges of water and land, in fractions from the top."""

    horizon: float
    water: tuple[float, float]
    land: tuple[float, float]
    low: tuple[Colour, Colour]


def stage(scene: Scene, known: Sequence[Category], rng: random.Random, side: int) -> Canvas:
    """Draw a scene whose items name categories of `known`; the labels of its canvas are their indices from 1."""
    ground, picture = _ground(scene.habitat, rng, side)
    canvas = Canvas(picture)
    spots = _spots(scene.items, ground, rng)
    for item, x, y in sorted(spots, key=lambda spot: (spot[0].place == "perch", spot[2])):
        canvas.category = item.category + 1
        _draw(canvas, rng, known[item.category], item.place, x, y, ground)
    if rng.random() < 0.25:
        canvas.category = 0
        left = rng.uniform(0.0, 0.7)
        backgrounds.draw_occluders(canvas, rng, (left, 0.5, left + 0.3, 1.0))
    return canvas


def _ground(habitat: str, rng: random.Random, side: int) -> tuple[Ground, Image.Image]:
    """Paint the sky, water and land of a habitat."""
    horizon = rng.uniform(0.3, 0.46)
    bands: tuple[tuple[float, tuple[Colour, Colour]], ...]
    water, bank = rng.choice(WATERS), horizon + rng.uniform(0.07, 0.12)
    if habitat == "lake":
        ground = Ground(horizon, (bank + 0.12, 0.97), (horizon + 0.03, bank), water)
        bands = ((horizon, GRASS), (bank, water))
    elif habitat == "shore":
        tide = horizon + rng.uniform(0.22, 0.3)
        ground = Ground(horizon, (horizon + 0.1, tide), (tide + 0.06, 0.97), SAND)
        bands = ((horizon, water), (tide, SAND))
    else:
        low = {"forest": LITTER, "meadow": GRASS, "village": rng.choice((PATH, GRASS))}[habitat]
        ground = Ground(horizon, (0.0, 0.0), (horizon + 0.08, 0.97), low)
        bands = ((horizon, low),)
    makers = {
        "forest": (backgrounds.stems, backgrounds.foliage),
        "lake": (backgrounds.foliage, backgrounds.sky),
    }
    picture = rng.choice(makers.get(habitat, (backgrounds.sky,)))(rng)
    for top, colours in bands:
        _paint_band(picture, rng, top, colours)
    soft = picture.filter(ImageFilter.GaussianBlur(rng.choice((0.5, 0.8, 1.1))))
    return ground, soft.resize((side, side), Image.Resampling.BICUBIC)


def _paint_band(picture: Image.Image, rng: random.Random, top: float, colours: tuple[Colour, Colour]) -> None:
    """Fill the raster from `top` downwards with graded colour and flat streaks."""
    line, draw = round(top * COARSE), ImageDraw.Draw(picture)
    light = rng.uniform(-0.15, 0.15)
    tones = tuple(shade(colour, light) for colour in colours)
    for y in range(line, COARSE):
        fraction = (y - line) / max(1, COARSE - 1 - line)
        tone = (
            shade(tones[0], 0.1 - 0.2 * fraction) if fraction < 0.5 else shade(tones[1], 0.3 - 0.4 * fraction)
        )
        draw.line((0, y, COARSE, y), fill=tone)
    for _ in range(rng.randint(8, 26)):
        x, y, w = rng.randrange(COARSE), rng.randrange(line, COARSE), rng.randint(1, 6)
        draw.line((x - w, y, x + w, y), fill=shade(rng.choice(tones), rng.uniform(-0.2, 0.25)))


def _spots(
    items: tuple[Placed, ...], ground: Ground, rng: random.Random
) -> list[tuple[Placed, float, float]]:
    """Give every item its own spot: a column in random order, and a height by the kind of place."""
    columns = rng.sample(range(len(items)), len(items))
    spots = []
    for item, column in zip(items, columns, strict=True):
        x = 0.08 + 0.84 * (column + rng.uniform(0.25, 0.75)) / len(items)
        low, high = {
            "water": ground.water,
            "wade": ground.water,
            "land": ground.land,
            "perch": (0.3, 0.62),
            "air": (0.12, ground.horizon + 0.05),
        }[item.place]
        spots.append((item, x, rng.uniform(low, high)))
    return spots


def _draw(
    canvas: Canvas, rng: random.Random, category: Category, place: str, x: float, y: float, ground: Ground
) -> None:
    depth = 1.0 if place in ("air", "perch") else (y - ground.horizon) / (1 - ground.horizon)
    scale = category.size * (0.55 + 0.45 * depth) * rng.uniform(0.72, 1.1)
    if category.is_bird:
        _draw_bird(canvas, rng, category, place, (x, y, scale), ground)
    else:
        _draw_thing(canvas, rng, category, place, (x, y, scale / 2), ground)


def _draw_bird(
    canvas: Canvas,
    rng: random.Random,
    category: Category,
    place: str,
    spot: tuple[float, float, float],
    ground: Ground,
) -> None:
    """Draw a bird whose extent is the scale of its spot, its feet (in the air: its middle) at the spot."""
    bird = anatomy.pose(rng, category.build(place))
    left, bottom, right, top = bird.extent()
    x, y, scale = spot[0], spot[1], spot[2] / max(right - left, top - bottom)
    mirrored = rng.random() < 0.5
    waterline = {"water": -0.12, "air": (bottom + top) / 2}.get(place, float(bird.legs[0][2][1]))
    bird_category, canvas.category = canvas.category, 0
    if place == "perch":
        backgrounds.draw_branch(canvas, rng, (x, y), scale)
    elif place == "land":
        _shadow(canvas, (x, y), scale * 0.45, ground)
    canvas.category = bird_category
    middle = (left + right) / 2 * (-1 if mirrored else 1) if place != "perch" else 0.0
    canvas.place(x - scale * middle, y + scale * waterline, scale, mirrored)
    draw_bird(canvas, rng, bird, category.attributes())
    if place in ("water", "wade"):
        backgrounds.draw_ripples(canvas, rng, (x, y), scale * 0.9, ground.low)


def _draw_thing(
    canvas: Canvas,
    rng: random.Random,
    category: Category,
    place: str,
    spot: tuple[float, float, float],
    ground: Ground,
) -> None:
    """Draw a thing twice as large as the scale of its spot, standing there (in the air: around it)."""
    x, y, scale = spot
    colour = rng.choice(category.colours)
    if place == "land":
        _shadow(canvas, (x, y), scale * 0.8, ground)
    foot = 0.0 if place == "air" else FEET.get(category.shape, -1.0)
    canvas.place(x, y + scale * foot, scale, rng.random() < 0.5)
    canvas.turn = rng.uniform(-30, 30) if place == "air" else rng.uniform(-3, 3)
    if category.shape in SCENERY:
        SCENERY[category.shape](canvas, rng, COLOURS[colour])
    else:
        forms, artist = FAMILIES[category.shape]
        accent = individual(rng, rng.choice(("white", "cream", "brown", "slate", "red")), 14)
        pattern = (
            rng.choice(PATTERNS)
            if category.shape in ("boat", "mushroom", "umbrella", "butterfly")
            else "plain"
        )
        artist(canvas, individual(rng, colour, 14), accent, pattern, rng.randrange(len(forms)))
    canvas.turn = 0.0
    if place == "water":
        backgrounds.draw_ripples(canvas, rng, (x, y), scale, ground.low)


def _shadow(canvas: Canvas, foot: tuple[float, float], radius: float, ground: Ground) -> None:
    canvas.place(foot[0], foot[1], 1.0, False)
    canvas.polygon(arc((0.0, 0.0), (radius, radius * 0.16), 0, 360, 20), shade(ground.low[1], -0.25))


def seen(labels: Image.Image, min_fraction: float) -> list[int]:
    """Return the indices of the categories that cover at least `min_fraction` of the picture."""
    counts = np.bincount(np.asarray(labels).ravel())
    return [i - 1 for i in range(1, len(counts)) if counts[i] >= min_fraction * labels.width * labels.height]
