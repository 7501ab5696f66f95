"""How the things of the base world are drawn: one function per family.

Every family is drawn in a frame where x and y run from about -1 to 1, y upwards; `form`, 0 or 1, is the
variant of its outline, `pattern` decorates it in the accent colour.
"""

import itertools
from collections.abc import Callable

import numpy as np

from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.geometry import Points, arc, points, polar, rotate, smooth
from fieldmark.datasets.world.palette import Colour, shade

Artist = Callable[[Canvas, Colour, Colour, str, int], None]


def _fill(canvas: Canvas, shape: Points, colour: Colour) -> None:
    canvas.polygon(shape, colour, "object")


def _decorate(canvas: Canvas, pattern: str, accent: Colour, box: tuple[float, float, float, float]) -> None:
    """Stripe or spot a rectangle given as left, bottom, right, top."""
    left, bottom, right, top = box
    if pattern == "striped":
        for i in range(3):
            x = left + (right - left) * (0.14 + 0.3 * i)
            w = (right - left) * 0.13
            canvas.polygon(points((x, bottom), (x + w, bottom), (x + w, top), (x, top)), accent)
    elif pattern == "spotted":
        for i, j in itertools.product(range(3), range(2)):
            x = left + (right - left) * (0.2 + 0.3 * i)
            y = bottom + (top - bottom) * (0.28 + 0.44 * j)
            canvas.disc((x, y), min(right - left, top - bottom) * 0.1, accent)


def draw_fish(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    height = (0.34, 0.56)[form]
    body = smooth(points((0.9, 0), (0.4, height), (-0.3, height * 0.8), (-0.7, 0.08)))
    under = body[::-1] * (1.0, -1.0)
    _fill(canvas, points((-0.6, 0), (-1, 0.42), (-0.86, 0), (-1, -0.42)), shade(accent, -0.1))
    _fill(canvas, smooth(points((0.3, height * 0.9), (0.0, height + 0.28), (-0.4, height * 0.7))), accent)
    _fill(canvas, np.concatenate((body, under)), main)
    canvas.polygon(np.concatenate((under, points((-0.7, -0.05), (0.3, -0.1)))), shade(main, 0.35))
    _decorate(canvas, pattern, accent, (-0.45, -height * 0.55, 0.4, height * 0.62))
    canvas.line(arc((0.36, 0), (0.14, height * 0.7), 110, 250, 8), shade(main, -0.35), 0.03)
    canvas.disc((0.62, 0.1), 0.09, (246, 246, 240))
    canvas.disc((0.64, 0.1), 0.055, (20, 20, 22))


def draw_butterfly(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    for side in (1.0, -1.0):
        hind = smooth(
            points((0, -0.05), (0.6, -0.1), (0.62, -0.55), (0.4, -0.98 if form else -0.68), (0, -0.2))
        )
        fore = smooth(points((0, 0.05), (0.4, 0.72), (0.98, 0.82), (0.82, 0.2), (0, -0.1)))
        for wing, tone in ((hind, shade(main, -0.12)), (fore, main)):
            _fill(canvas, wing * (side, 1.0), shade(main, -0.62))
            canvas.polygon((wing * 0.86 + (0.035, 0.02)) * (side, 1.0), tone)
        if pattern == "spotted":
            for x, y in ((0.66, 0.6), (0.42, 0.35), (0.42, -0.4)):
                canvas.disc((x * side, y), 0.1, accent)
        elif pattern == "striped":
            canvas.line(points((0.3, 0.6), (0.72, 0.2)) * (side, 1.0), accent, 0.12)
            canvas.line(points((0.12, -0.3), (0.56, -0.4)) * (side, 1.0), accent, 0.1)
        canvas.line(points((0, 0.3), (0.16 * side, 0.72)), (40, 34, 32), 0.025, "object")
    _fill(canvas, smooth(points((0, 0.36), (0.07, 0.1), (0, -0.5), (-0.07, 0.1), (0, 0.36))), (48, 40, 36))


def draw_leaf(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    if form:
        lobes = [polar((0, 0), 90 + 45 * i / 2, (0.98, 0.52)[i % 2]) for i in range(-6, 7)]
        shape = points(*lobes, (0.0, -0.35))
    else:
        edge = smooth(points((0, -0.7), (0.44, -0.1), (0.3, 0.5), (0, 1)))
        shape = np.concatenate((edge, edge[::-1] * (-1.0, 1.0)))
    canvas.line(points((0, -0.3), (0.06, -1)), shade(main, -0.3), 0.06, "object")
    _fill(canvas, shape, main)
    _decorate(canvas, pattern, accent, (-0.3, -0.2, 0.3, 0.45))
    canvas.line(points((0, -0.7), (0, 0.85)), shade(main, 0.35), 0.035)
    for y in (-0.3, 0.0, 0.3):
        for side in (1.0, -1.0):
            canvas.line(points((0, y), (0.26 * side, y + 0.2)), shade(main, 0.3), 0.022)


def draw_flower(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    stem = smooth(points((0, 0), (0.06, -0.5), (0, -1)), 8)
    canvas.line(stem, (74, 122, 60), 0.07, "object")
    leaf = smooth(points((0.04, -0.75), (0.3, -0.5), (0.62, -0.52), (0.3, -0.72), (0.04, -0.78)))
    _fill(canvas, leaf, (84, 136, 66))
    count, centre = (6, 12)[form], points((0.0, 0.28))
    for i in range(count):
        width = 0.9 / count + 0.12
        petal = smooth(
            points(
                (0, 0),
                (0.35, width),
                (0.66, width * 0.7),
                (0.7, 0),
                (0.66, -width * 0.7),
                (0.35, -width),
                (0, 0),
            )
        )
        turned = centre + rotate(petal, 360 * i / count)
        _fill(canvas, turned, shade(main, (0.0, -0.12)[i % 2]))
        along = centre + rotate(points((0.25, 0), (0.6, 0)), 360 * i / count)
        if pattern == "striped":
            canvas.line(along, accent, 0.06)
        elif pattern == "spotted":
            x, y = along[1].tolist()
            canvas.disc((x, y), 0.07, accent)
    canvas.disc((0, 0.28), 0.2, (226, 176, 62), "object")
    canvas.disc((0, 0.28), 0.12, (150, 96, 44))


def draw_car(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    roof = ((-0.45, 0.52), (0.25, 0.52)) if form == 0 else ((-0.88, 0.6), (0.3, 0.6))
    _fill(
        canvas, points((-0.72, 0.08) if form == 0 else (-0.92, 0.08), *roof, (0.56, 0.08)), shade(main, -0.08)
    )
    canvas.polygon(points((-0.55, 0.12), (-0.4, 0.44), (-0.12, 0.44), (-0.12, 0.12)), (176, 206, 222))
    canvas.polygon(points((-0.04, 0.12), (-0.04, 0.44), (0.22, 0.44), (0.42, 0.12)), (196, 220, 232))
    _fill(canvas, smooth(points((-0.98, -0.3), (-0.96, 0.08), (0.5, 0.12), (0.94, 0.02), (1, -0.3))), main)
    _decorate(canvas, pattern, accent, (-0.5, -0.28, 0.4, 0.04))
    canvas.disc((0.93, -0.06), 0.07, (250, 236, 170))
    for x in (-0.55, 0.55):
        canvas.disc((x, -0.34), 0.23, (34, 34, 38), "object")
        canvas.disc((x, -0.34), 0.11, (190, 192, 196))


def draw_mug(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    canvas.line(arc((0.5, 0.0), (0.36, 0.36), -90, 90, 12), shade(main, -0.15), 0.15, "object")
    foot = (0.56, 0.36)[form]
    _fill(canvas, points((-0.58, 0.62), (-foot, -0.7), (foot, -0.7), (0.58, 0.62)), main)
    canvas.polygon(points((0.2, 0.6), (0.2, -0.7), (foot, -0.7), (0.58, 0.62)), shade(main, -0.14))
    _decorate(canvas, pattern, accent, (-0.42, -0.45, 0.42, 0.36))
    _fill(canvas, arc((0, 0.62), (0.58, 0.15), 0, 360, 24), shade(main, 0.25))
    canvas.polygon(arc((0, 0.6), (0.48, 0.1), 0, 360, 24), (86, 58, 42))


def draw_house(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    _fill(canvas, points((0.38, 0.5), (0.38, 0.98), (0.56, 0.98), (0.56, 0.4)), shade(accent, -0.4))
    _fill(canvas, points((-0.75, -0.85), (-0.75, 0.15), (0.75, 0.15), (0.75, -0.85)), main)
    _decorate(canvas, pattern, shade(accent, 0.1), (-0.7, -0.8, 0.7, 0.12))
    peak = ((0.0, 0.92), (0.0, 0.92)) if form == 0 else ((-0.45, 0.7), (0.45, 0.7))
    _fill(canvas, points((-0.95, 0.1), *peak, (0.95, 0.1)), shade(accent, -0.15))
    canvas.polygon(points((-0.14, -0.85), (-0.14, -0.3), (0.14, -0.3), (0.14, -0.85)), (92, 64, 48))
    for x in (-0.48, 0.48):
        canvas.polygon(
            points((x - 0.15, -0.4), (x - 0.15, -0.05), (x + 0.15, -0.05), (x + 0.15, -0.4)), (240, 236, 220)
        )
        canvas.polygon(
            points((x - 0.11, -0.36), (x - 0.11, -0.09), (x + 0.11, -0.09), (x + 0.11, -0.36)), (98, 128, 150)
        )


def draw_mushroom(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    _fill(
        canvas,
        smooth(points((-0.2, 0.1), (-0.16, -0.4), (-0.26, -0.9), (0.26, -0.9), (0.16, -0.4), (0.2, 0.1))),
        (232, 222, 198),
    )
    canvas.polygon(points((0.05, 0.0), (0.05, -0.88), (0.24, -0.88), (0.16, 0.0)), (206, 192, 166))
    top = (0.72, 0.98)[form]
    width = (0.95, 0.62)[form]
    cap = smooth(
        points((-width, 0.02), (-width * 0.75, top * 0.7), (0, top), (width * 0.75, top * 0.7), (width, 0.02))
    )
    _fill(canvas, np.concatenate((cap, smooth(points((width, 0.02), (0, -0.12), (-width, 0.02))))), main)
    _decorate(canvas, pattern, accent, (-width * 0.62, 0.08, width * 0.62, top * 0.8))


def draw_tree(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    _fill(canvas, points((-0.11, 0.0), (-0.15, -1), (0.15, -1), (0.11, 0.0)), (104, 78, 56))
    if form:
        for y, width in ((-0.5, 0.78), (-0.05, 0.6), (0.38, 0.42)):
            _fill(canvas, points((-width, y), (0, y + 0.62), (width, y)), shade(main, 0.2 * y))
    else:
        for x, y, r in ((-0.38, 0.1, 0.4), (0.4, 0.12, 0.38), (0, 0.5, 0.46), (0, 0.0, 0.4)):
            canvas.disc((x, y), r, shade(main, -0.1 + 0.3 * (y - 0.2)), "object")
    _decorate(canvas, pattern, accent, (-0.42, -0.2, 0.42, 0.55))


def draw_boat(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    canvas.line(points((0, -0.4), (0, 0.98)), (112, 84, 60), 0.06, "object")
    _fill(canvas, points((0.06, 0.94), (0.06, -0.24), (0.76, -0.24)), shade(accent, 0.05))
    if form == 0:
        _fill(canvas, points((-0.06, 0.8), (-0.06, -0.24), (-0.6, -0.24)), shade(accent, -0.12))
    _fill(canvas, smooth(points((-0.98, -0.32), (-0.66, -0.8), (0.62, -0.8), (0.98, -0.32))), main)
    _decorate(canvas, pattern, accent, (-0.6, -0.76, 0.6, -0.4))


def draw_beetle(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    for y, out in ((0.3, 0.5), (-0.1, 0.2), (-0.45, -0.25)):
        for side in (1.0, -1.0):
            canvas.line(
                points((0, y), (0.62 * side, y + 0.1), (0.88 * side, y + out - 0.2)),
                (40, 36, 36),
                0.06,
                "object",
            )
    for side in (1.0, -1.0):
        canvas.line(points((0.1 * side, 0.7), (0.3 * side, 1.0)), (40, 36, 36), 0.04, "object")
    width = (0.62, 0.44)[form]
    _fill(canvas, arc((0, 0.58), (0.32, 0.26), 0, 360, 20), (50, 44, 46))
    _fill(canvas, arc((0, -0.14), (width, 0.74), 0, 360, 28), main)
    canvas.polygon(arc((-width * 0.35, 0.1), (width * 0.22, 0.3), 0, 360, 16), shade(main, 0.2))
    _decorate(canvas, pattern, accent, (-width * 0.72, -0.62, width * 0.72, 0.4))
    canvas.line(points((0, 0.5), (0, -0.86)), shade(main, -0.5), 0.035)


def draw_umbrella(canvas: Canvas, main: Colour, accent: Colour, pattern: str, form: int) -> None:
    canvas.line(points((0, 0.8), (0, -0.72)), (90, 74, 62), 0.06, "object")
    canvas.line(arc((0.14, -0.74), (0.14, 0.16), 180, 360, 10), (90, 74, 62), 0.07, "object")
    top = (0.82, 0.6)[form]
    dome = np.concatenate(
        (
            arc((0, 0.1), (0.96, top), 180, 0, 20),
            *(arc((0.64 - 0.64 * i, 0.1), (0.32, 0.12), 0, 180, 6) for i in range(3)),
        )
    )
    _fill(canvas, dome, main)
    canvas.polygon(
        smooth(
            points((0, 0.1 + top), (0.34, 0.5), (0.32, 0.12), (-0.32, 0.12), (-0.34, 0.5), (0, 0.1 + top))
        ),
        shade(main, 0.14),
    )
    _decorate(canvas, pattern, accent, (-0.6, 0.24, 0.6, 0.1 + top * 0.72))


FAMILIES: dict[str, tuple[tuple[str, str], Artist]] = {
    "fish": (("slender", "deep"), draw_fish),
    "butterfly": (("round", "tailed"), draw_butterfly),
    "leaf": (("simple", "lobed"), draw_leaf),
    "flower": (("wide", "dense"), draw_flower),
    "car": (("low", "tall"), draw_car),
    "mug": (("straight", "tapered"), draw_mug),
    "house": (("gabled", "flat"), draw_house),
    "mushroom": (("broad", "tall"), draw_mushroom),
    "tree": (("leafy", "conical"), draw_tree),
    "boat": (("two-sailed", "one-sailed"), draw_boat),
    "beetle": (("round", "narrow"), draw_beetle),
    "umbrella": (("domed", "shallow"), draw_umbrella),
}
