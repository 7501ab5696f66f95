"""A bird in a pose: its parts as patches in one frame (facing right, y upwards, the unit is the body length)."""

import math
import random
from dataclasses import dataclass

import numpy as np

from fieldmark.datasets.world.bills import mandibles
from fieldmark.datasets.world.builds import Build
from fieldmark.datasets.world.geometry import Patch, Point, Points, points, polar, rotate

_BODY = Patch.between(
    points(
        (-0.52, -0.05),
        (-0.4, -0.12),
        (-0.14, -0.235),
        (0.14, -0.27),
        (0.34, -0.235),
        (0.46, -0.13),
        (0.5, -0.02),
    ),
    points((-0.52, 0.05), (-0.36, 0.125), (-0.1, 0.2), (0.16, 0.235), (0.34, 0.2), (0.46, 0.1), (0.5, -0.02)),
)
_FEATHER = Patch.between(
    points((0, -0.5), (0.6, -0.625), (0.95, -0.5), (1, -0.075)),
    points((0, 0.5), (0.6, 0.625), (0.95, 0.5), (1, 0.075)),
)


@dataclass(frozen=True)
class Head:
    """The frame of the head: features are given in head radii, x towards the bill."""

    centre: Point
    radius: float
    tilt: float
    facing: float  # below 1 when the head turns to the viewer, negative when it looks back

    def at(self, shape: Points) -> Points:
        """Map points given in head radii into the frame of the bird."""
        scaled = shape * (self.radius * self.facing, self.radius)
        return rotate(scaled, self.tilt if self.facing > 0 else -self.tilt) + self.centre

    def round(self, shape: Points) -> Points:
        """Map points without the foreshortening of a turned head, for outlines of the skull itself."""
        sign = 1.0 if self.facing > 0 else -1.0
        scaled = shape * (self.radius * sign, self.radius)
        return rotate(scaled, self.tilt * sign) + self.centre

    def profile(self, shape: Points) -> Points:
        """Map the points of a bill: rooted at the rim of the skull, foreshortened with the head."""
        return self.round(shape * (abs(self.facing), 1.0) + (0.9, -0.1))


@dataclass(frozen=True)
class Bird:
    """All parts of a posed bird."""

    setting: str  # perch, ground, water, swim or air
    body: Patch
    neck: Patch
    head: Head
    bill: tuple[Patch, Patch]
    wing: Patch
    far_wing: Patch | None
    tail: tuple[Patch, ...]
    legs: tuple[Points, ...]  # hip, ankle, foot
    angle: float

    def extent(self) -> tuple[float, float, float, float]:
        """Return the left, bottom, right and top of the bird."""
        outlines = [self.body.outline(), self.wing.outline(), *(f.outline() for f in self.tail), *self.legs]
        outlines += [self.head.round(points((-1, -1), (1, 1), (-1, 1))), *(m.outline() for m in self.bill)]
        outlines += [self.far_wing.outline()] if self.far_wing else []
        every = np.concatenate(outlines)
        (left, bottom), (right, top) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
        return left, bottom, right, top


def pose(rng: random.Random, build: Build) -> Bird:
    """Draw a pose for a bird of this build."""
    setting = rng.choice(build.habits)
    angle = rng.uniform(-8, 22) if setting == "air" else build.angle + rng.uniform(-11, 11)
    body = _BODY.scaled(1.0, build.plump * rng.uniform(0.95, 1.07)).moved(angle)
    head = _head(rng, build, body, setting, angle)
    neck = _neck(build, body, head)
    bill = mandibles(build.bill, build.bill_length * rng.uniform(0.95, 1.05))
    turned = tuple(Patch(head.profile(m.lower), head.profile(m.upper)) for m in bill)
    near, far = _wings(rng, build, setting, angle)
    tail = _tail(rng, build, body, setting, angle)
    legs = _legs(rng, build, body, setting, angle)
    return Bird(setting, body, neck, head, (turned[0], turned[1]), near, far, tail, legs, angle)


def _head(rng: random.Random, build: Build, body: Patch, setting: str, angle: float) -> Head:
    stretched = setting == "air"
    lift = (
        rng.uniform(8, 24) + angle * 0.5
        if stretched
        else rng.uniform(58, 82) + (6 if build.neck > 0.3 else 0)
    )
    anchor = body.point(0.86, 0.35)
    reach = (
        build.neck
        * rng.uniform(0.88, 1.12)
        * (1.0 if build.neck < 0.5 or stretched else rng.uniform(0.75, 1.0))
    )
    facing = rng.uniform(0.72, 1.0)
    if not stretched and rng.random() < 0.1:
        facing = -facing
    return Head(polar(anchor, lift, reach), build.head, rng.uniform(-16, 14), facing)


def _neck(build: Build, body: Patch, head: Head) -> Patch:
    """Return the neck: its lower edge runs up the throat, its upper edge up the nape."""
    front, back = body.point(0.97, -0.55), body.point(0.6, 1.0)
    middle = body.point(0.85, 0.2)
    dx, dy = head.centre[0] - middle[0], head.centre[1] - middle[1]
    length = math.hypot(dx, dy)
    nx, ny = -dy / length, dx / length
    hx, hy = head.centre
    wide = head.radius * 0.97
    throat, nape = (hx - wide * nx, hy - wide * ny), (hx + wide * nx, hy + wide * ny)
    if build.neck < 0.5:
        return Patch.between(
            points(front, _bulge(front, throat, 0.06), throat), points(back, _bulge(back, nape, 0.03), nape)
        )
    # A long neck is a slender S between shoulders and head.
    slim = head.radius * 0.62
    low, high = (middle[0] + dx * 0.38, middle[1] + dy * 0.38), (middle[0] + dx * 0.72, middle[1] + dy * 0.72)
    bow = 0.1 * build.neck
    lower = points(
        front,
        (low[0] - nx * (slim + bow), low[1] - ny * (slim + bow)),
        (high[0] - nx * (slim - bow), high[1] - ny * (slim - bow)),
        throat,
    )
    upper = points(
        back,
        (low[0] + nx * (slim - bow), low[1] + ny * (slim - bow)),
        (high[0] + nx * (slim + bow), high[1] + ny * (slim + bow)),
        nape,
    )
    return Patch.between(lower, upper)


def _bulge(start: Point, end: Point, out: float) -> Point:
    """Return the middle of a segment, moved to its right by `out` of its length."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    return (start[0] + end[0]) / 2 + dy * out, (start[1] + end[1]) / 2 - dx * out


def _wings(rng: random.Random, build: Build, setting: str, angle: float) -> tuple[Patch, Patch | None]:
    if setting != "air":
        reach = build.wing
        tip = (-0.5 - 0.14 * reach, -0.01 - 0.03 * reach)
        upper = points((0.3, 0.13), (0.05, 0.15), (-0.28, 0.085), tip)
        lower = points((0.3, 0.1), (0.2, -0.075), (-0.1, -0.15), (-0.38, -0.115), tip)
        wing = Patch.between(lower * (1.0, build.plump), upper * (1.0, build.plump))
        return wing.moved(angle + rng.uniform(-3, 4)), None
    beat = rng.choice((1.0, 1.0, -1.0)) * rng.uniform(0.75, 1.05)
    near = _spread_wing(build.wing, beat).moved(angle)
    far = _spread_wing(build.wing * 0.92, beat * rng.uniform(0.8, 0.95)).moved(angle - 16, (0.1, 0.0))
    return near, far


def _spread_wing(reach: float, beat: float) -> Patch:
    """Return an opened wing; s runs from shoulder to tip, t from the trailing to the leading edge."""
    span = 0.92 * reach
    leading = points((0.3, 0.06), (0.34, 0.42 * span), (0.1, 0.85 * span), (-0.22, 1.12 * span))
    trailing = points((-0.24, 0.06), (-0.36, 0.36 * span), (-0.36, 0.72 * span), (-0.22, 1.12 * span))
    return Patch.between(trailing * (1.0, beat), leading * (1.0, beat))


def _tail(rng: random.Random, build: Build, body: Patch, setting: str, angle: float) -> tuple[Patch, ...]:
    spread = {"forked": 26.0, "streamers": 14.0, "rounded": 26.0, "pointed": 14.0}.get(build.tail_shape, 17.0)
    spread *= rng.uniform(0.75, 1.25) * (1.5 if setting == "air" else 1.0)
    heading = 180 + angle - (0 if setting == "air" else build.tail_angle + rng.uniform(-8, 6))
    root = body.point(0.04, 0.0)
    count = 7
    feathers = []
    for i in range(count):
        outward = 2 * i / (count - 1) - 1  # -1 and 1 are the outermost feathers
        length = build.tail * _feather_length(build.tail_shape, abs(outward))
        feathers.append(_feather(root, heading + spread * outward / 2, length, 0.055 + 0.03 * build.tail))
    return tuple(sorted(feathers, key=lambda f: float(np.abs(f.upper[-1] - f.upper[0]).sum())))


def _feather_length(shape: str, outward: float) -> float:
    lengths = {
        "square": 1.0,
        "notched": 0.9 + 0.12 * outward,
        "forked": 0.48 + 0.55 * outward,
        "rounded": 1.02 - 0.28 * outward * outward,
        "pointed": 1.05 - 0.62 * outward,
        "streamers": 1.0 if outward < 0.2 else 0.42,
    }
    return lengths[shape]


def _feather(root: Point, heading: float, length: float, width: float) -> Patch:
    turned = _FEATHER.scaled(length, width).moved(heading)
    return Patch(turned.lower + root, turned.upper + root)


def _legs(rng: random.Random, build: Build, body: Patch, setting: str, angle: float) -> tuple[Points, ...]:
    """Return two legs as hip, ankle and foot; both feet stand level."""
    hips = (body.point(0.42, -0.8), body.point(0.5, -0.8))
    if setting in ("air", "swim"):
        trailing = min(build.leg, 0.9)
        ends = [
            (polar(hip, 180 + angle - 4, trailing * 0.45), polar(hip, 180 + angle - 2, trailing))
            for hip in hips
        ]
        return tuple(points(hip, knee, foot) for hip, (knee, foot) in zip(hips, ends, strict=True))
    reach = 0.5 * build.leg + 0.1
    floor = min(hip[1] for hip in hips) - build.leg - 0.06
    apart = rng.uniform(-0.03, 0.1)
    legs = []
    for hip, step in zip(hips, (-apart, apart), strict=True):
        foot = (hip[0] + step + 0.04, floor)
        ankle = (hip[0] + step * 0.4 - 0.16 * reach, hip[1] - (hip[1] - floor) * 0.45)
        legs.append(points(hip, ankle, foot))
    return tuple(legs)
