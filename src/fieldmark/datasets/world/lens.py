"""From drawing to photograph: modelling light, colour cast, exposure, blur and sensor noise.

All arithmetic on pixels is on integers, and noise comes from `random.Random`, so that every machine agrees.
"""

import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.int32]


def photograph(rng: random.Random, drawing: Image.Image, silhouette: Image.Image, size: float) -> Image.Image:
    """Light, expose, blur and grain a drawing (RGB).

    `silhouette` (L) is soft and of the same size; `size` is the length of the subject in pixels.
    """
    pixels = np.asarray(drawing).astype(np.int32)
    pixels = (pixels * _modelling(rng, silhouette, size)[:, :, None]) >> 8
    pixels = (pixels * _falloff(rng, drawing.width)[:, :, None]) >> 8
    pixels = (pixels * np.array(_cast(rng), dtype=np.int32)) >> 8
    pixels = _contrast(rng, pixels)
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.45:
        picture = picture.filter(
            ImageFilter.GaussianBlur(rng.choice((0.4, 0.5, 0.6, 0.8)) * drawing.width / 128)
        )
    return _grain(rng, picture)


def _modelling(rng: random.Random, silhouette: Image.Image, size: float) -> Pixels:
    """Return a gain (256 = 1) that rounds the subject: lit from above, darker towards the far edge."""
    reach = max(1, round(size / 14))
    soft = np.asarray(
        silhouette.filter(ImageFilter.BoxBlur(reach)).filter(ImageFilter.BoxBlur(reach))
    ).astype(np.int32)
    across = rng.choice((-1, 0, 1)) * reach
    lit = np.roll(soft, (-reach, -across), (0, 1)) - np.roll(soft, (reach, across), (0, 1))
    strength = rng.randint(70, 150)
    inside = np.asarray(silhouette).astype(np.int32)
    return 256 + ((lit * strength >> 8) * inside >> 8)


def _falloff(rng: random.Random, side: int) -> Pixels:
    """Return a gain that changes evenly across the picture."""
    ramp = (np.arange(side, dtype=np.int32) * 256) // max(1, side - 1) - 128
    down, across = rng.randint(-56, 56), rng.randint(-56, 56)
    gain: Pixels = 256 + ((ramp[:, None] * down + ramp[None, :] * across) >> 8)
    return gain


def _cast(rng: random.Random) -> tuple[int, int, int]:
    """Return the gains of red, green and blue: exposure and the warmth of the light."""
    exposure, warmth, tint = rng.randint(205, 300), rng.randint(-30, 30), rng.randint(-12, 12)
    return exposure + warmth, exposure + tint, exposure - warmth


def _contrast(rng: random.Random, pixels: Pixels) -> Pixels:
    gain, lift, wash = rng.randint(205, 285), rng.randint(-10, 14), rng.randint(190, 268)
    grey = (pixels[:, :, 0] * 77 + pixels[:, :, 1] * 150 + pixels[:, :, 2] * 29) >> 8
    washed = grey[:, :, None] + (((pixels - grey[:, :, None]) * wash) >> 8)
    return (((washed - 120) * gain) >> 8) + 120 + lift


def _grain(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Add triangular noise, the same in all channels and a little in each."""
    pixels = np.asarray(picture).astype(np.int32)
    height, width, _ = pixels.shape
    amount = rng.choice((0, 4, 6, 9, 14))
    grey = np.frombuffer(rng.randbytes(2 * height * width), dtype=np.uint8).astype(np.int32)
    grey = grey[: height * width] - grey[height * width :]
    colour = np.frombuffer(rng.randbytes(3 * height * width), dtype=np.uint8).astype(np.int32) - 128
    noise = (grey.reshape(height, width, 1) * amount >> 8) + (colour.reshape(height, width, 3) * amount >> 9)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
