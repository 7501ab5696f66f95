"""Curves and ruled patches. Only additions and products reach numpy: they are exact on every machine."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Point = tuple[float, float]

STEPS = 20
_SIXTHS = np.arange(6)[:, None] / 6


def points(*pairs: Point) -> Points:
    """Return an (n, 2) array of points."""
    return np.array(pairs, dtype=np.float64)


def _catmull_rom_weights(segments: int, steps: int) -> Points:
    """Return the (steps + 1, segments + 3) matrix that samples a Catmull-Rom curve at even parameters."""
    weights = np.zeros((steps + 1, segments + 3))
    for row in range(steps + 1):
        position = row * segments / steps
        i = min(int(position), segments - 1)
        u = position - i
        weights[row, i : i + 4] = (
            (-u + 2 * u**2 - u**3) / 2,
            (2 - 5 * u**2 + 3 * u**3) / 2,
            (u + 4 * u**2 - 3 * u**3) / 2,
            (u**3 - u**2) / 2,
        )
    return weights


_WEIGHTS: dict[tuple[int, int], Points] = {}


def smooth(control: Points, steps: int = STEPS) -> Points:
    """Return `steps` + 1 points of the smooth curve through the control points (n, 2)."""
    segments = len(control) - 1
    if (segments, steps) not in _WEIGHTS:
        _WEIGHTS[segments, steps] = _catmull_rom_weights(segments, steps)
    weights = _WEIGHTS[segments, steps]
    padded = np.concatenate((2 * control[:1] - control[1:2], control, 2 * control[-1:] - control[-2:-1]))
    # Summed term by term: a matrix product or a reduction may round differently from machine to machine.
    curve: Points = weights[:, :1] * padded[0]
    for k in range(1, len(padded)):
        curve = curve + weights[:, k : k + 1] * padded[k]
    return curve


def rotate(values: Points, degrees: float, about: Point = (0.0, 0.0)) -> Points:
    """Rotate points (n, 2) anticlockwise about a point."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = values[:, 0] - about[0], values[:, 1] - about[1]
    turned = np.empty_like(values)
    turned[:, 0] = about[0] + (c * x - s * y)
    turned[:, 1] = about[1] + (s * x + c * y)
    return turned


def arc(centre: Point, radius: Point, start: float, end: float, steps: int = 16) -> Points:
    """Return points of an elliptic arc from `start` to `end` degrees."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return points(
        *((centre[0] + radius[0] * math.cos(a), centre[1] + radius[1] * math.sin(a)) for a in angles)
    )


def polar(origin: Point, degrees: float, length: float) -> Point:
    """Return the point at an angle and distance from `origin`."""
    angle = math.radians(degrees)
    return origin[0] + length * math.cos(angle), origin[1] + length * math.sin(angle)


@dataclass(frozen=True)
class Patch:
    """A surface ruled between two curves: s runs along them, t from the lower (-1) to the upper (1)."""

    lower: Points
    upper: Points

    @staticmethod
    def between(lower: Points, upper: Points) -> "Patch":
        """Build a patch from the control points of its two edges."""
        return Patch(smooth(lower), smooth(upper))

    def at(self, s: Any, t: Any) -> Points:
        """Return the points (n, 2) at coordinates s in [0, 1] and t in [-1, 1], each a number or (n,)."""
        position = np.array(s, dtype=np.float64, ndmin=1) * STEPS
        i = np.minimum(position.astype(np.int64), STEPS - 1)
        f = (position - i)[:, None]
        fraction = ((np.array(t, dtype=np.float64, ndmin=1) + 1) / 2)[:, None]
        low = self.lower[i] + (self.lower[i + 1] - self.lower[i]) * f
        high = self.upper[i] + (self.upper[i + 1] - self.upper[i]) * f
        result: Points = low + (high - low) * fraction
        return result

    def point(self, s: float, t: float) -> Point:
        """Return one point of the surface."""
        x, y = self.at(s, t)[0].tolist()
        return x, y

    def outline(self) -> Points:
        """Return the closed outline."""
        return np.concatenate((self.lower, self.upper[::-1]))

    def region(self, *corners: Point) -> Points:
        """Return the polygon whose corners are given as (s, t), its edges following the surface."""
        starts = np.array(corners)
        steps = np.concatenate((starts[1:], starts[:1])) - starts
        ring = (starts[:, None] + steps[:, None] * _SIXTHS).reshape(-1, 2)
        return self.at(ring[:, 0], ring[:, 1])

    def scaled(self, x: float, y: float) -> "Patch":
        """Return the patch stretched along both axes."""
        return Patch(self.lower * (x, y), self.upper * (x, y))

    def moved(self, degrees: float, about: Point = (0.0, 0.0)) -> "Patch":
        """Return the patch rotated about a point."""
        return Patch(rotate(self.lower, degrees, about), rotate(self.upper, degrees, about))
