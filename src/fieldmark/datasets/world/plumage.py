"""Drawing a posed bird: feathers, field marks and soft parts, from the far side to the near side."""

import random
from collections.abc import Callable, Mapping

import numpy as np

from fieldmark.datasets.world.anatomy import Bird
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.faces import draw_head
from fieldmark.datasets.world.geometry import Patch
from fieldmark.datasets.world.palette import COLOURS, Colour, individual, luminance, mix, shade

Paint = Callable[[str], Colour]

BAR: Colour = (246, 243, 232)
BAR_COUNTS = {"none": 0, "one": 1, "two": 2}


def paints(rng: random.Random, attributes: Mapping[str, str]) -> Paint:
    """Return the colours of one individual, by attribute name."""
    worn: dict[str, Colour] = {}
    for name in sorted(attributes):
        if name.endswith("_colour"):
            worn[name] = individual(rng, attributes[name])
    return worn.__getitem__


def draw_bird(canvas: Canvas, rng: random.Random, bird: Bird, attributes: Mapping[str, str]) -> None:
    """Draw a bird with the field marks of its species."""
    paint = paints(rng, attributes)
    if bird.far_wing is not None:
        _draw_spread_wing(canvas, rng, bird.far_wing, attributes, paint, -0.22)
    _draw_legs(canvas, bird, paint("leg_colour"), paint("belly_colour"))
    _draw_tail(canvas, bird, attributes, paint)
    _draw_body(canvas, rng, bird, attributes, paint)
    draw_head(canvas, bird, attributes, paint)
    if bird.far_wing is not None:
        _draw_spread_wing(canvas, rng, bird.wing, attributes, paint, 0.0)
    else:
        _draw_folded_wing(canvas, rng, bird.wing, attributes, paint)


def _draw_legs(canvas: Canvas, bird: Bird, colour: Colour, thigh: Colour) -> None:
    for i, leg in enumerate(bird.legs):
        tone = shade(colour, -0.3 if i == 0 else -0.05)
        hip, ankle, foot = leg
        canvas.line(leg, tone, 0.034, "legs")
        if bird.setting in ("perch", "ground"):
            for toe in ((0.13, -0.015), (0.1, 0.035), (-0.08, -0.01)):
                canvas.line(np.stack((foot, foot + np.array(toe))), tone, 0.028, "legs")
        middle = hip + (ankle - hip) * 0.75
        wide = np.array((0.075, 0.03))
        canvas.polygon(
            np.stack((hip + wide, hip - wide, middle - wide * 0.3, middle + wide * 0.3)),
            shade(thigh, -0.15),
            "belly",
        )


def _draw_tail(canvas: Canvas, bird: Bird, attributes: Mapping[str, str], paint: Paint) -> None:
    base = paint("tail_colour")
    tip = None if attributes["tail_tip"] == "none" else attributes["tail_tip"]
    for i, feather in enumerate(bird.tail):
        tone = shade(base, (-0.2, 0.0, -0.1, 0.06)[i % 4])
        canvas.polygon(feather.outline(), tone, "tail")
        if tip is not None:
            canvas.polygon(feather.region((0.42, -1), (1, -1), (1, 1), (0.42, 1)), COLOURS[tip])
        canvas.line(feather.at(np.array((0.0, 0.95)), 0.0), shade(tone, -0.25), 0.008)


def _draw_body(
    canvas: Canvas, rng: random.Random, bird: Bird, attributes: Mapping[str, str], paint: Paint
) -> None:
    body, neck = bird.body, bird.neck
    back, breast, belly = paint("back_colour"), paint("breast_colour"), paint("belly_colour")
    canvas.polygon(body.outline(), back, "body")
    canvas.polygon(neck.outline(), mix(back, paint("head_colour"), 0.5), "body")
    canvas.polygon(
        body.region((0.02, 0.6), (0.16, 1), (0.34, 1), (0.3, 0.1), (0.04, 0.0)), paint("rump_colour")
    )
    # Two steps from the flank to the underparts soften the edge between them.
    for step, (rise, fraction) in enumerate(((0.16, 0.5), (0.0, 1.0))):
        label = "belly" if step else None
        edge = ((0.02, -0.2 + rise), (0.2, -0.25 + rise), (0.45, -0.2 + rise), (0.72, 0.0 + rise))
        canvas.polygon(
            body.region((0.02, -1), (0.72, -1), *reversed(edge)), mix(back, belly, fraction), label
        )
    for step, (rise, fraction) in enumerate(((0.14, 0.5), (0.0, 1.0))):
        label = "breast" if step else None
        front = ((0.58, -1), (1.0, -1), (1.0, 1), (0.9, 0.7 + rise), (0.74, 0.1 + rise), (0.64, -0.2))
        canvas.polygon(body.region(*front), mix(back, breast, fraction), label)
        canvas.polygon(
            neck.region((0, -1), (1, -1), (1, -0.3 + rise), (0.4, 0.0 + rise), (0, 0.3)),
            mix(back, breast, fraction),
            label,
        )
    _soften_breast(canvas, rng, body, breast, belly)
    _draw_pattern(canvas, rng, body, neck, attributes)
    _feathers(canvas, rng, body, back, (0.1, 0.9), (0.1, 0.95), 26)
    _feathers(canvas, rng, body, belly, (0.1, 0.6), (-0.9, -0.3), 16)


def _soften_breast(canvas: Canvas, rng: random.Random, body: Patch, breast: Colour, belly: Colour) -> None:
    """Let the breast run out into the belly in single feathers."""
    t = np.array([rng.uniform(-0.95, -0.25) for _ in range(18)])
    s = np.array([rng.uniform(0.55, 0.64) for _ in range(18)])
    canvas.strokes(body.at(s, t), body.at(s - 0.06, t), [mix(breast, belly, 0.3)] * 18, 0.03)


def _draw_pattern(
    canvas: Canvas, rng: random.Random, body: Patch, neck: Patch, attributes: Mapping[str, str]
) -> None:
    # The ink depends on the colour of the species, not of the individual: it must not tell siblings apart.
    ink = (52, 40, 34) if luminance(COLOURS[attributes["breast_colour"]]) > 95 else (238, 228, 206)
    pattern = attributes["breast_pattern"]
    if pattern == "banded":
        band = ((0.6, -1), (0.7, -1), (0.77, -0.1), (0.88, 0.7), (0.76, 0.7), (0.66, -0.1))
        canvas.polygon(body.region(*band), ink)
    elif pattern == "streaked":
        for row in range(7):
            height = -0.92 + row * 0.19
            s = np.array([0.5 + 0.075 * i + rng.uniform(0, 0.04) for i in range(6)])
            canvas.strokes(
                body.at(s, height), body.at(np.minimum(s + 0.055, 1.0), height + 0.03), [ink] * 6, 0.026
            )
        t = np.array((-0.8, -0.45, -0.1))
        canvas.strokes(neck.at(0.15, t), neck.at(0.5, t), [ink] * 3, 0.024)
    elif pattern == "spotted":
        for row in range(5):
            for column in range(6):
                along = 0.5 + 0.085 * column + 0.04 * (row % 2)
                height = -0.86 + row * 0.24 + rng.uniform(-0.04, 0.04)
                if along < 0.98:
                    canvas.disc(body.point(along, height), 0.024, ink)


def _feathers(
    canvas: Canvas,
    rng: random.Random,
    patch: Patch,
    base: Colour,
    along: tuple[float, float],
    across: tuple[float, float],
    count: int,
) -> None:
    """Scatter short strokes, a little lighter or darker than the base, along a surface."""
    s = np.array([rng.uniform(*along) for _ in range(count)])
    t = np.array([rng.uniform(*across) for _ in range(count)])
    colours = [shade(base, rng.choice((-0.16, -0.1, 0.1, 0.16))) for _ in range(count)]
    canvas.strokes(patch.at(s, t), patch.at(np.maximum(s - 0.07, 0), t - 0.04), colours, 0.014)


def _draw_folded_wing(
    canvas: Canvas, rng: random.Random, wing: Patch, attributes: Mapping[str, str], paint: Paint
) -> None:
    base, back = paint("wing_colour"), paint("back_colour")
    canvas.polygon(wing.outline(), base, "wing")
    canvas.polygon(wing.region((0, -1), (0.3, -1), (0.42, 0.0), (0.5, 1), (0, 1)), mix(base, back, 0.62))
    _feathers(canvas, rng, wing, mix(base, back, 0.5), (0.12, 0.4), (-0.8, 0.8), 14)
    if attributes["wing_patch"] != "none":
        canvas.polygon(
            wing.region((0.5, -0.9), (0.76, -0.9), (0.72, -0.05), (0.52, 0.0)),
            COLOURS[attributes["wing_patch"]],
        )
    for t in (-0.62, -0.28, 0.08, 0.42):
        canvas.line(wing.at(np.array((0.48, 0.7, 0.97)), t), shade(base, -0.45), 0.011)
        canvas.line(wing.at(np.array((0.48, 0.7, 0.95)), t - 0.1), shade(base, 0.22), 0.009)
    _draw_bars(canvas, wing, attributes["wing_bars"])
    canvas.line(wing.lower[1:], shade(base, -0.35), 0.012)


def _draw_bars(canvas: Canvas, wing: Patch, bars: str) -> None:
    """Draw white bars across a folded wing, from its lower edge upwards."""
    for low, high in ((), ((0.42, 0.55),), ((0.24, 0.34), (0.42, 0.55)))[BAR_COUNTS[bars]]:
        bar = wing.region((low, -0.98), (low + 0.055, -0.98), (high + 0.055, 0.75), (high, 0.75))
        canvas.polygon(bar, BAR)


def _draw_spread_wing(
    canvas: Canvas, rng: random.Random, wing: Patch, attributes: Mapping[str, str], paint: Paint, light: float
) -> None:
    base, back = shade(paint("wing_colour"), light), shade(paint("back_colour"), light)
    fingers = []
    for i in range(11):
        s = 0.08 + 0.088 * i
        root = wing.at(np.array((s - 0.05, s + 0.06)).clip(0, 1), 0.2)
        tip = wing.at(np.array((s - 0.04, min(1.0, s + 0.055))).clip(0, 1), -1.0 - 0.06 * (i % 2))
        fingers.append((np.concatenate((root, tip[::-1])), shade(base, (0.0, -0.1)[i % 2])))
    canvas.polygon(wing.outline(), base, "wing")
    for finger, tone in fingers:
        canvas.polygon(finger, tone, "wing")
    canvas.polygon(wing.region((0, -0.05), (0.5, -0.1), (0.95, 0.7), (1, 1), (0, 1)), mix(base, back, 0.6))
    _feathers(canvas, rng, wing, mix(base, back, 0.6), (0.08, 0.75), (0.1, 0.8), 14)
    if attributes["wing_patch"] != "none":
        canvas.polygon(
            wing.region((0.12, -0.8), (0.5, -0.85), (0.5, -0.2), (0.12, -0.15)),
            COLOURS[attributes["wing_patch"]],
        )
    for t in ((), (-0.1,), (-0.1, 0.3))[BAR_COUNTS[attributes["wing_bars"]]]:
        canvas.polygon(
            wing.region((0.06, t), (0.74, t + 0.25), (0.74, t + 0.38), (0.06, t + 0.15)), shade(BAR, light)
        )
    canvas.line(wing.upper, shade(base, -0.3), 0.012)
    canvas.line(wing.at(np.array((0.0, 0.0)), np.array((-1.0, 1.0))), mix(base, back, 0.5), 0.01)
