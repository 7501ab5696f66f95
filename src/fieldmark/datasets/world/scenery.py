"""What stands about in scenes beside the things of the base world: reeds, rocks, fences, benches.

As there, x and y run from about -1 to 1, y upwards. Each function draws random numbers, so that no two reed beds are
alike.
"""

import random

import numpy as np

from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.geometry import points, smooth
from fieldmark.datasets.world.palette import Colour, mix, shade

REED: Colour = (128, 142, 68)
STONE: Colour = (140, 136, 130)


def draw_reeds(canvas: Canvas, rng: random.Random, colour: Colour) -> None:
    """Draw a bed of reeds with its brown heads."""
    for _ in range(rng.randint(11, 17)):
        foot, lean = rng.uniform(-0.85, 0.85), rng.uniform(-0.22, 0.22)
        top = rng.uniform(0.1, 0.95)
        blade = smooth(points((foot, -1), (foot + lean * 0.3, (top - 1) / 2), (foot + lean, top)), 8)
        canvas.line(blade, shade(mix(REED, colour, 0.3), rng.uniform(-0.25, 0.2)), 0.055, "object")
        if rng.random() < 0.55:
            head = blade[-3:] + points((0.0, 0.05))
            canvas.line(head, (104, 66, 40), 0.13, "object")


def draw_rock(canvas: Canvas, rng: random.Random, colour: Colour) -> None:
    """Draw a boulder or two, lit from above."""
    for x, size in ((rng.uniform(-0.5, 0.5), 0.55), (rng.uniform(-0.2, 0.2), 0.8)):
        tone = shade(mix(STONE, colour, 0.22), rng.uniform(-0.15, 0.15))
        top = -1 + size * rng.uniform(0.9, 1.3)
        shape = points(
            (x - size, -1), (x - 0.85 * size, (top - 1.5) / 2), (x - 0.35 * size, top),
            (x + 0.3 * size, top - 0.1), (x + 0.8 * size, (top - 1.3) / 2), (x + size, -1),
        )  # fmt: skip
        canvas.polygon(shape, tone, "object")
        lit = np.stack((shape[1], shape[2], shape[3], shape[2] * 0.5 + shape[4] * 0.5 - (0.1, 0.15)))
        canvas.polygon(lit, shade(tone, 0.25))
        canvas.line(shape[3:5] - (0.1, 0.12), shade(tone, -0.35), 0.04)


def draw_fence(canvas: Canvas, rng: random.Random, colour: Colour) -> None:
    """Draw a wooden fence of posts and two rails."""
    wood = shade(mix((150, 120, 88), colour, 0.2), rng.uniform(-0.2, 0.25))
    for y in (-0.55, -0.05):
        canvas.line(points((-1.9, y), (1.9, y + rng.uniform(-0.08, 0.08))), wood, 0.15, "object")
    for i in range(6):
        x, top = -1.75 + 0.7 * i, rng.uniform(0.2, 0.34)
        post = points((x - 0.1, -1), (x - 0.1, top), (x, top + 0.14), (x + 0.1, top), (x + 0.1, -1))
        canvas.polygon(post, shade(wood, 0.12), "object")
        canvas.line(points((x + 0.07, -1), (x + 0.07, top)), shade(wood, -0.3), 0.04)


def draw_bench(canvas: Canvas, rng: random.Random, colour: Colour) -> None:
    """Draw a garden bench with slats."""
    wood = shade(mix((132, 92, 58), colour, 0.35), rng.uniform(-0.15, 0.2))
    for x in (-0.78, 0.78):
        canvas.line(points((x, -1), (x, 0.55)), (52, 50, 52), 0.13, "object")
        canvas.line(points((x * 0.72, -1), (x * 0.72, -0.25)), (66, 64, 66), 0.1, "object")
    for y in (0.42, 0.12, -0.26):
        canvas.line(points((-1.05, y), (1.05, y)), wood, 0.19, "object")
        canvas.line(points((-1.05, y + 0.06), (1.05, y + 0.06)), shade(wood, 0.25), 0.05)
