"""Composing a picture: where the subject stands, what is behind it, under it and in front of it.

A composition has one subject; pictures with several are drawn by `staging.py`.
"""

import random

from fieldmark.datasets.world import anatomy, backgrounds
from fieldmark.datasets.world.base import Kind
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.objects import Thing, draw_thing
from fieldmark.datasets.world.plumage import draw_bird
from fieldmark.datasets.world.species import Species

Fractions = tuple[float, float, float, float]


def compose(kind: Kind, rng: random.Random, side: int) -> tuple[Canvas, float]:
    """Draw one subject in its surroundings; return the canvas and the subject's extent as a fraction of the side."""
    return _compose_bird(kind, rng, side) if isinstance(kind, Species) else _compose_thing(kind, rng, side)


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


def _compose_bird(kind: Species, rng: random.Random, side: int) -> tuple[Canvas, float]:
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


def _compose_thing(kind: Thing, rng: random.Random, side: int) -> tuple[Canvas, float]:
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
