"""What lies behind and around: soft backgrounds, and the perch, ground or water at the feet of a bird.

Backgrounds are painted on a coarse raster and enlarged, which gives the blur of a long lens for little work.
"""

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.geometry import points, rotate, smooth
from fieldmark.datasets.world.palette import Colour, mix, shade

COARSE = 36

LEAF: tuple[Colour, ...] = (
    (72, 112, 52),
    (104, 138, 60),
    (46, 88, 54),
    (138, 148, 70),
    (86, 104, 62),
    (150, 168, 92),
)
AUTUMN: tuple[Colour, ...] = ((176, 112, 48), (150, 74, 40), (198, 158, 70), (112, 92, 56), (92, 60, 44))
WINTER: tuple[Colour, ...] = (
    (196, 202, 208),
    (168, 174, 182),
    (222, 226, 230),
    (138, 140, 146),
    (182, 176, 168),
)
DUSK: tuple[Colour, ...] = ((214, 150, 120), (150, 108, 132), (232, 186, 140), (98, 88, 122), (190, 126, 112))
DARK: tuple[Colour, ...] = ((34, 50, 40), (52, 66, 48), (28, 36, 36), (70, 80, 54), (44, 46, 38))
BLOSSOM: tuple[Colour, ...] = (
    (226, 184, 196),
    (150, 168, 110),
    (240, 220, 224),
    (196, 132, 158),
    (120, 146, 92),
)
SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((96, 150, 214), (198, 220, 238)),
    ((150, 176, 204), (222, 226, 226)),
    ((188, 196, 204), (226, 226, 222)),
    ((112, 124, 168), (240, 190, 150)),
    ((62, 108, 176), (150, 190, 226)),
    ((236, 170, 120), (250, 222, 170)),
    ((120, 132, 146), (172, 180, 186)),
)
GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((176, 152, 112), (128, 104, 74)),
    ((112, 140, 66), (70, 96, 46)),
    ((206, 188, 148), (168, 148, 108)),
    ((142, 136, 130), (98, 94, 92)),
    ((228, 232, 236), (190, 198, 208)),
    ((120, 88, 62), (84, 60, 44)),
    ((160, 150, 80), (112, 108, 56)),
)
WATERS: tuple[tuple[Colour, Colour], ...] = (
    ((110, 150, 176), (56, 92, 122)),
    ((150, 166, 160), (92, 112, 104)),
    ((196, 176, 158), (120, 112, 122)),
    ((84, 118, 108), (44, 72, 66)),
    ((178, 196, 210), (122, 146, 168)),
)
FOLIAGE = (LEAF, LEAF, AUTUMN, WINTER, DUSK, DARK, BLOSSOM)


def _gradient(top: Colour, bottom: Colour, steps: int = COARSE) -> Image.Image:
    column = Image.new("RGB", (1, steps))
    for y in range(steps):
        column.putpixel((0, y), mix(top, bottom, y / max(1, steps - 1)))
    return column.resize((COARSE, steps), Image.Resampling.NEAREST)


def sky(rng: random.Random) -> Image.Image:
    """A graded sky with or without soft clouds."""
    top, bottom = rng.choice(SKIES)
    picture = _gradient(top, bottom)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.choice((0, 0, 2, 4))):
        x, y, w = rng.randrange(COARSE), rng.randrange(COARSE), rng.randint(3, 9)
        light = mix(bottom, (255, 255, 255), 0.5)
        for _ in range(4):
            dx, dy, r = rng.randint(-w, w), rng.randint(-1, 1), rng.randint(1, 3)
            draw.ellipse((x + dx - 2 * r, y + dy - r, x + dx + 2 * r, y + dy + r), fill=light)
    return picture


def foliage(rng: random.Random) -> Image.Image:
    """Leaves far out of focus."""
    colours = rng.choice(FOLIAGE)
    picture = _gradient(shade(rng.choice(colours), 0.12), shade(rng.choice(colours), -0.12))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.randint(14, 46)):
        x, y, r = rng.randrange(-3, COARSE + 3), rng.randrange(-3, COARSE + 3), rng.randint(1, 7)
        tone = shade(rng.choice(colours), rng.uniform(-0.25, 0.25))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tone)
    for _ in range(rng.choice((0, 0, 3, 7))):
        x, y = rng.randrange(COARSE), rng.randrange(COARSE)
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=shade(rng.choice(colours), 0.55))
    return picture


def stems(rng: random.Random) -> Image.Image:
    """Upright reeds, trunks or twigs out of focus."""
    colours = rng.choice(FOLIAGE)
    picture = _gradient(shade(rng.choice(colours), 0.2), rng.choice(colours))
    draw = ImageDraw.Draw(picture)
    lean = rng.randint(-7, 7)
    for _ in range(rng.randint(5, 18)):
        x, tone = rng.randrange(-4, COARSE + 4), shade(rng.choice(colours), rng.uniform(-0.35, 0.2))
        draw.line(
            (x, COARSE, x + lean + rng.randint(-3, 3), rng.choice((0, 0, 12))),
            fill=tone,
            width=rng.randint(1, 4),
        )
    return picture


def landscape(rng: random.Random, horizon: float, low: tuple[Colour, Colour]) -> Image.Image:
    """Ground or water up to the horizon (a fraction of the height from the top), something soft above it."""
    picture = rng.choice((sky, foliage, foliage, stems))(rng)
    line = round(horizon * COARSE)
    picture.paste(_gradient(*low, steps=COARSE - line), (0, line))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.randint(6, 26)):
        y = rng.randrange(line, COARSE)
        x, w = rng.randrange(COARSE), rng.randint(2, 9)
        draw.line((x - w, y, x + w, y), fill=shade(rng.choice(low), rng.uniform(-0.2, 0.25)))
    return picture


def background(
    rng: random.Random, setting: str, side: int, floor: float
) -> tuple[Image.Image, tuple[Colour, Colour]]:
    """Return the background of a setting, and the colours of its ground or water.

    `floor` is the height of the feet in fractions from the top; ground and water reach above it.
    """
    low = rng.choice(WATERS if setting in ("water", "swim") else GROUNDS)
    makers: tuple[Callable[[random.Random], Image.Image], ...] = (foliage, foliage, stems, sky)
    if setting in ("ground", "water", "swim"):
        horizon = min(0.9, max(0.06, floor - rng.uniform(0.06, 0.5)))
        picture = landscape(rng, horizon, low)
    elif setting == "air":
        picture = rng.choice((sky, sky, foliage, stems))(rng)
    else:
        picture = rng.choice(makers)(rng)
    soft = picture.filter(ImageFilter.GaussianBlur(rng.choice((0.7, 1.0, 1.4, 2.0))))
    return soft.resize((side, side), Image.Resampling.BICUBIC), low


def draw_branch(canvas: Canvas, rng: random.Random, foot: tuple[float, float], unit: float) -> None:
    """Draw the branch under a foot at (x, y), in fractions of the side from the top left."""
    canvas.place(foot[0], foot[1], 1.0, rng.random() < 0.5)
    bark = rng.choice(((104, 84, 66), (134, 116, 96), (78, 62, 54), (150, 138, 122), (92, 92, 70)))
    slope, thick = rng.uniform(-0.22, 0.22), unit * rng.uniform(0.07, 0.15)
    x = (-1.1, -0.4, 0.0, 0.4, 1.1)
    spine = smooth(points(*((v, v * slope + (rng.uniform(-0.02, 0.02) if v else 0.0)) for v in x)))
    lower = spine - (0.0, thick)
    canvas.polygon(np.concatenate((spine, lower[::-1])), bark)
    canvas.polygon(np.concatenate((spine - (0.0, thick * 0.62), lower[::-1])), shade(bark, -0.3))
    canvas.line(spine - (0.0, thick * 0.14), shade(bark, 0.25), thick * 0.12)
    for _ in range(rng.randint(0, 4)):
        i = rng.randrange(len(spine))
        _twig(canvas, rng, spine[i], bark, thick)


def _twig(canvas: Canvas, rng: random.Random, start: np.ndarray, bark: Colour, thick: float) -> None:
    up = rng.choice((1.0, -1.0))
    end = start + np.array((rng.uniform(-0.25, 0.25), up * rng.uniform(0.12, 0.32)))
    canvas.line(np.stack((start, end)), shade(bark, -0.1), thick * 0.3)
    leaf = rng.choice(rng.choice((LEAF, LEAF, AUTUMN, BLOSSOM)))
    for _ in range(rng.randint(0, 5)):
        at = start + (end - start) * rng.uniform(0.3, 1.0)
        draw_leaf(
            canvas,
            rng,
            (float(at[0]), float(at[1])),
            rng.uniform(0.05, 0.11),
            shade(leaf, rng.uniform(-0.2, 0.15)),
        )


def draw_leaf(
    canvas: Canvas,
    rng: random.Random,
    at: tuple[float, float],
    length: float,
    colour: Colour,
    part: str | None = None,
) -> None:
    """Draw one leaf of a length, growing from a point in a random direction."""
    half = length * rng.uniform(0.16, 0.3)
    edge = points((0, 0), (length * 0.35, half), (length * 0.75, half * 0.6), (length, 0))
    shape = np.concatenate((smooth(edge, 8), smooth(edge * (1.0, -1.0), 8)[::-1]))
    turn = rng.uniform(0, 360)
    canvas.polygon(rotate(shape, turn) + at, colour, part)
    rib = rotate(points((0, 0), (length * 0.9, 0)), turn) + at
    canvas.line(rib, shade(colour, 0.25), length * 0.04)


def draw_ground(
    canvas: Canvas, rng: random.Random, foot: tuple[float, float], unit: float, low: tuple[Colour, Colour]
) -> None:
    """Draw the shadow on the ground, pebbles and grass."""
    canvas.place(foot[0], foot[1], unit, False)
    ring = smooth(
        points((-0.5, 0), (-0.2, 0.05), (0.25, 0.045), (0.5, 0), (0.2, -0.06), (-0.25, -0.055), (-0.5, 0))
    )
    canvas.polygon(ring, shade(mix(*low, 0.6), -0.3))
    canvas.polygon(ring * 0.72, shade(mix(*low, 0.6), -0.42))
    canvas.place(0.0, foot[1], 1.0, False)
    grassy = rng.random() < 0.5
    for _ in range(rng.randint(4, 26)):
        x, y = rng.random(), rng.uniform(-0.25, 0.08)
        tone = shade(rng.choice(low), rng.uniform(-0.3, 0.3))
        if grassy:
            blade = points(
                (x, y),
                (x + rng.uniform(-0.02, 0.02), y + 0.04),
                (x + rng.uniform(-0.06, 0.06), y + rng.uniform(0.05, 0.11)),
            )
            canvas.line(blade, mix(tone, rng.choice(LEAF), 0.5), 0.008)
        else:
            r = rng.uniform(0.004, 0.016)
            canvas.polygon(
                points((x - 1.6 * r, y), (x - r, y + r), (x + r, y + r), (x + 1.7 * r, y), (x, y - 0.6 * r)),
                tone,
            )


def draw_ripples(
    canvas: Canvas, rng: random.Random, foot: tuple[float, float], unit: float, low: tuple[Colour, Colour]
) -> None:
    """Draw rings on the water where the legs go in, and glitter around."""
    canvas.place(foot[0], foot[1], unit, False)
    for reach in (0.42, 0.28, 0.16):
        wave = points((-reach, 0), (-reach * 0.5, 0.05 * reach), (reach * 0.5, 0.05 * reach), (reach, 0))
        canvas.line(smooth(wave, 8), shade(low[0], 0.35), 0.02)
    canvas.place(0.0, foot[1], 1.0, False)
    for _ in range(rng.randint(4, 14)):
        x, y, w = rng.random(), rng.uniform(-0.3, 0.15), rng.uniform(0.02, 0.08)
        canvas.line(points((x - w, y), (x + w, y)), shade(rng.choice(low), rng.choice((-0.15, 0.3))), 0.006)


def draw_occluders(canvas: Canvas, rng: random.Random, box: tuple[float, float, float, float]) -> None:
    """Draw leaves, blades or a twig in front; `box` is left, top, right, bottom of the subject in fractions."""
    canvas.place(0.0, 1.0, 1.0, False)
    left, top, right, bottom = box
    colours = rng.choice((LEAF, LEAF, AUTUMN, DARK))
    x, y = rng.uniform(left, right), 1 - rng.uniform(top, bottom)
    kind = rng.choice(("leaves", "leaves", "blades", "twig"))
    if kind == "leaves":
        for _ in range(rng.randint(1, 4)):
            at = (x + rng.uniform(-0.08, 0.08), y + rng.uniform(-0.08, 0.08))
            draw_leaf(
                canvas,
                rng,
                at,
                rng.uniform(0.1, 0.22),
                shade(rng.choice(colours), rng.uniform(-0.2, 0.2)),
                "occluder",
            )
    elif kind == "blades":
        for _ in range(rng.randint(2, 6)):
            foot = rng.uniform(left, right)
            height = rng.uniform(0.2, 0.75) * (1 - top)
            blade = smooth(
                points(
                    (foot, 0),
                    (foot + rng.uniform(-0.04, 0.04), height / 2),
                    (foot + rng.uniform(-0.16, 0.16), height),
                ),
                8,
            )
            canvas.line(
                blade,
                shade(rng.choice(colours), rng.uniform(-0.2, 0.2)),
                rng.uniform(0.01, 0.022),
                "occluder",
            )
    else:
        lean = rng.uniform(-0.5, 0.5)
        canvas.line(
            points((x - lean, 0), (x, y), (x + lean * 0.8, 1)),
            shade((110, 90, 70), rng.uniform(-0.3, 0.2)),
            rng.uniform(0.012, 0.03),
            "occluder",
        )
