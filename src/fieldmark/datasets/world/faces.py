"""The head of a bird, where most field marks are: crest, crown, face, throat, eye and bill."""

from collections.abc import Callable, Mapping

import numpy as np

from fieldmark.datasets.world.anatomy import Bird, Head
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.geometry import Patch, arc, points, smooth
from fieldmark.datasets.world.palette import COLOURS, Colour, luminance, mix, shade

Paint = Callable[[str], Colour]

_CRESTS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "none": (),
    "short": (((0.25, 0.9), (-0.35, 1.28), (-0.95, 1.22), (-0.75, 0.55)),),
    "pointed": (((0.45, 0.8), (-0.2, 1.3), (-1.55, 1.5), (-1.0, 0.75), (-0.85, 0.3)),),
    "shaggy": (
        ((0.3, 0.85), (-0.4, 1.35), (-1.15, 1.45), (-0.8, 0.9)),
        ((-0.3, 0.9), (-1.0, 1.05), (-1.6, 0.75), (-0.9, 0.3)),
    ),
    "fan": (
        ((0.75, 0.6), (0.85, 1.5), (0.35, 1.55), (0.3, 0.7)),
        ((0.45, 0.7), (0.3, 1.85), (-0.25, 1.8), (0.0, 0.8)),
        ((0.1, 0.8), (-0.4, 1.9), (-0.9, 1.65), (-0.4, 0.7)),
        ((-0.2, 0.8), (-1.05, 1.6), (-1.4, 1.2), (-0.75, 0.5)),
    ),
    "ears": (((0.55, 0.75), (0.62, 1.45), (0.15, 0.95)), ((-0.35, 0.9), (-0.6, 1.45), (-0.8, 0.6))),
}

# fmt: off
_FACES: dict[str, tuple[tuple[float, float], ...]] = {
    "eye line": ((1.0, 0.12), (0.4, 0.24), (-0.95, 0.2), (-1.0, 0.02), (0.35, 0.05), (1.0, -0.04)),
    "mask": (
        (1.0, 0.2), (0.4, 0.48), (-0.4, 0.46), (-1.0, 0.22), (-0.9, -0.22), (-0.2, -0.24), (0.5, -0.14), (1.0, -0.1),
    ),
    "eyebrow": (
        (1.0, 0.32), (0.4, 0.62), (-0.5, 0.58), (-1.05, 0.28), (-1.0, 0.12), (-0.4, 0.36), (0.4, 0.42), (1.0, 0.18),
    ),
    "moustache": ((0.95, -0.16), (0.4, -0.3), (-0.1, -0.86), (0.2, -0.98), (0.62, -0.62), (0.98, -0.36)),
    "cheek patch": ((0.25, -0.02), (-0.3, 0.08), (-0.8, -0.05), (-0.85, -0.45), (-0.35, -0.62), (0.15, -0.4)),
}
# fmt: on


def draw_head(canvas: Canvas, bird: Bird, attributes: Mapping[str, str], paint: Paint) -> None:
    """Draw head and bill."""
    head, base, crown = bird.head, paint("head_colour"), paint("crown_colour")
    for tuft in _CRESTS[attributes["crest"]]:
        canvas.polygon(head.round(smooth(points(*tuft))), shade(crown, -0.08), "crown")
    _draw_bill(canvas, bird.bill, attributes, paint("bill_colour"))
    canvas.polygon(head.round(arc((0, 0), (1.04, 1.0), 0, 360, 28)), base, "head")
    _draw_throat(canvas, head, paint("throat_colour"))
    cap = np.concatenate(
        (
            arc((0, 0), (1.06, 1.03), 20, 176, 18),
            smooth(points((-1.04, 0.05), (-0.5, 0.36), (0.25, 0.46), (0.98, 0.32)), 10),
        )
    )
    canvas.polygon(head.round(cap), crown, "crown")
    canvas.line(head.round(arc((0, 0), (0.8, 0.8), 60, 130, 6)), shade(crown, 0.18), 0.02)
    _draw_face(canvas, head, attributes["face"], COLOURS[attributes["head_colour"]])
    _draw_eye(canvas, head, attributes, paint("eye_colour"), base)


def _draw_throat(canvas: Canvas, head: Head, colour: Colour) -> None:
    bib = np.concatenate(
        (
            arc((0, 0), (1.04, 1.02), -22, -110, 10),
            smooth(points((-0.3, -0.8), (0.1, -0.42), (0.95, -0.2)), 8),
        )
    )
    canvas.polygon(head.round(bib), colour)


def _draw_face(canvas: Canvas, head: Head, face: str, base: Colour) -> None:
    """Draw the mark of the face in an ink that stands out from the colour of the species' head."""
    dark: Colour = (38, 34, 36) if luminance(base) > 85 else (240, 234, 216)
    pale: Colour = (248, 244, 230) if luminance(base) < 170 else (60, 46, 40)
    if face != "plain":
        canvas.polygon(head.at(points(*_FACES[face])), pale if face in ("eyebrow", "cheek patch") else dark)


def _draw_eye(canvas: Canvas, head: Head, attributes: Mapping[str, str], iris: Colour, base: Colour) -> None:
    x, y = head.at(points((0.4, 0.17)))[0].tolist()
    radius = head.radius * (0.21 if attributes["shape"] != "owl" else 0.3)
    if attributes["eye_ring"] != "none":
        canvas.disc((x, y), radius * 1.75, COLOURS[attributes["eye_ring"]])
    else:
        canvas.disc((x, y), radius * 1.18, shade(mix(base, (40, 34, 34), 0.5), -0.1))
    canvas.disc((x, y), radius, iris, "eye")
    canvas.disc((x, y), radius * 0.66, (14, 12, 14))
    canvas.disc((x + radius * 0.3, y + radius * 0.34), radius * 0.3, (252, 252, 250))


def _draw_bill(
    canvas: Canvas, bill: tuple[Patch, Patch], attributes: Mapping[str, str], colour: Colour
) -> None:
    upper, lower = bill
    canvas.polygon(lower.outline(), shade(colour, -0.22), "bill")
    canvas.polygon(upper.outline(), colour, "bill")
    canvas.line(upper.at(np.array((0.05, 0.3, 0.6)), 0.55), shade(colour, 0.3), 0.012)
    canvas.line(upper.lower, shade(colour, -0.45), 0.01)
    if attributes["shape"] in ("gull", "toucan", "flamingo", "spoonbill"):
        canvas.polygon(upper.region((0.78, -1), (1, -1), (1, 1), (0.78, 1)), (40, 34, 34))
