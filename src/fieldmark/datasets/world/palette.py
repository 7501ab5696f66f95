"""Named colours of plumage and things, and the arithmetic on them."""

import math
import random

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "black": (36, 34, 38),
    "white": (243, 241, 234),
    "grey": (150, 152, 156),
    "slate": (82, 92, 106),
    "brown": (116, 84, 58),
    "chestnut": (132, 58, 34),
    "rufous": (190, 98, 48),
    "ochre": (204, 152, 62),
    "buff": (220, 192, 150),
    "cream": (242, 230, 196),
    "olive": (118, 122, 62),
    "green": (72, 138, 66),
    "yellow": (244, 212, 54),
    "orange": (238, 136, 40),
    "red": (204, 46, 42),
    "pink": (230, 150, 166),
    "blue": (54, 102, 186),
    "sky": (132, 186, 224),
    "teal": (34, 134, 136),
    "violet": (112, 76, 158),
}


def distance(first: str, second: str) -> float:
    """Return how far apart two named colours look: a luminance-weighted distance in RGB, 0 to about 255."""
    a, b = COLOURS[first], COLOURS[second]
    return math.sqrt(0.3 * (a[0] - b[0]) ** 2 + 0.5 * (a[1] - b[1]) ** 2 + 0.2 * (a[2] - b[2]) ** 2)


def luminance(colour: Colour) -> int:
    """Return the luma of a colour, 0 to 255, in integers."""
    return (77 * colour[0] + 150 * colour[1] + 29 * colour[2]) >> 8


def mix(first: Colour, second: Colour, fraction: float) -> Colour:
    """Return the colour between `first` (at `fraction` 0) and `second` (at 1)."""
    part = round(fraction * 256)
    r, g, b = ((x * (256 - part) + y * part) >> 8 for x, y in zip(first, second, strict=True))
    return r, g, b


def shade(colour: Colour, amount: float) -> Colour:
    """Lighten (amount above 0) or darken (below 0) a colour; 1 is white, -1 is black."""
    return mix(colour, (255, 252, 244), amount) if amount > 0 else mix(colour, (12, 10, 16), -amount)


def individual(rng: random.Random, name: str, spread: int = 9) -> Colour:
    """Return a named colour as one individual wears it: a little lighter, darker, warmer or cooler."""
    light = rng.randint(-spread, spread)
    r, g, b = (min(255, max(0, c + light + rng.randint(-5, 5))) for c in COLOURS[name])
    return r, g, b


def contrasting(
    rng: random.Random,
    options: tuple[str, ...],
    count: int,
    against: tuple[str, ...] = (),
    apart: float = 55.0,
) -> list[str]:
    """Draw `count` of `options` that look unlike each other and unlike `against`.

    `apart` is the `distance` that they must have. It is lowered step by step when too few options have it, so that
    `count` always come back.
    """
    order = rng.sample(options, len(options))
    chosen: list[str] = []
    while len(chosen) < count:
        for name in order:
            rivals = [*chosen, *against]
            if len(chosen) < count and name not in chosen and all(distance(name, r) >= apart for r in rivals):
                chosen.append(name)
        apart -= 10.0
    return chosen
