"""From one record to what the store and the manifest keep of it: the work that `prepare` does in parallel."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fieldmark.datasets.acquire.records import VALUES, MaskLabels, Record
from fieldmark.datasets.acquire.schema import DatasetParams, Shape
from fieldmark.datasets.data.packed.store import NO_LABEL, Encoded, Encoding, encode
from fieldmark.datasets.preparing.decoding import BadImageError, Decoded, Pixels, decode, decode_mask

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """A usable picture, encoded for the store.

    `width`, `height` and `mode` are those of the original picture, after cutting off. `mask_values` are the values of
    the pixels in the file of the mask.
    """

    image: Encoded
    mask: Encoded | None
    box: Box | None
    box_clipped: bool
    width: int
    height: int
    mode: str
    sha256: str
    mask_values: frozenset[int] = frozenset()


def process(record: Record, params: DatasetParams, mask_encoding: Encoding) -> Picture | BadImageError:
    """Decode, check, resize and encode one record; for a picture that cannot be used, return the reason."""
    try:
        return _process(record, params, mask_encoding)
    except BadImageError as error:
        return error


def resized_shape(height: int, width: int, side: int | None, shape: Shape) -> tuple[int, int]:
    """Return (height, width) of the stored picture; those of the original where `side` is None.

    Both are `side` for a square; else the shorter one is, and the other one follows in proportion.
    """
    if side is None:
        return height, width
    if shape == "square":
        return side, side
    scale = side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def clip_box(box: Box, width: int, height: int, overreach: float) -> Box:
    """Clip a box that reaches past the edge by at most `overreach` pixels.

    Any other box is returned as it is: `validate` reports one that reaches farther.
    """
    x, y, w, h = box
    past = max(-x, -y, x + w - width, y + h - height)
    if not (all(math.isfinite(value) for value in box) and 0 < past <= overreach):
        return box
    left, top = max(x, 0.0), max(y, 0.0)
    return left, top, min(x + w, float(width)) - left, min(y + h, float(height)) - top


def _process(record: Record, params: DatasetParams, mask_encoding: Encoding) -> Picture:
    data = _read(record.image)
    decoded = _cut(decode(data), record.cut_below)
    height, width = decoded.pixels.shape[:2]
    if min(height, width) < params.expect.min_side:
        raise BadImageError(f"{width} x {height} pixels; a side must have at least {params.expect.min_side}")
    shape = resized_shape(height, width, params.side, params.shape)
    if decoded.verbatim and params.encoding == "jpeg" and shape == (height, width):
        image = Encoded(data, height, width)  # the photograph's own bytes: nothing is lost twice
    else:
        image = encode(_resize(decoded.pixels, shape, params.shape), params.encoding)
    box = None if record.box is None else clip_box(record.box, width, height, params.expect.box_overreach)
    mask = None if record.mask is None else decode_mask(_read(record.mask))
    return Picture(
        image=image,
        mask=None if mask is None else _mask(mask, record.mask_labels, (height, width), shape, mask_encoding),
        box=None if box is None else _scale(box, shape[1] / width, shape[0] / height),
        box_clipped=box != record.box,
        width=width,
        height=height,
        mode=decoded.mode,
        sha256=decoded.content_hash,
        mask_values=frozenset()
        if mask is None
        else frozenset(np.flatnonzero(np.bincount(mask.ravel())).tolist()),
    )


def _cut(decoded: Decoded, rows: int) -> Decoded:
    """Leave out `rows` rows of pixels at the bottom. Raises BadImageError when nothing would be left."""
    if not rows:
        return decoded
    if decoded.pixels.shape[0] <= rows:
        raise BadImageError(
            f"it has {decoded.pixels.shape[0]} rows of pixels, of which {rows} are to be cut off"
        )
    return replace(decoded, pixels=decoded.pixels[:-rows], verbatim=False)


def _read(image: bytes | Path) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        if image.exists() and not image.is_file():  # to read a pipe would wait for ever
            raise BadImageError("it is no file")
        return image.read_bytes()
    except OSError as error:
        raise BadImageError(f"cannot be read: {error.strerror}") from None


def _resize(pixels: Pixels, target: tuple[int, int], shape: Shape) -> Pixels:
    """Resize (H, W, 3) pixels with an anti-aliasing filter: a bicubic one, and for squares that of loading."""
    if pixels.shape[:2] == target:
        return pixels
    if shape == "square":
        return _as_loading_does(pixels, target)
    return np.asarray(Image.fromarray(pixels).resize(target[::-1], Image.Resampling.BICUBIC))


def _as_loading_does(pixels: Pixels, target: tuple[int, int]) -> Pixels:
    """Resize (H, W, 3) pixels as the transform of loading would: bit for bit, so that nothing is left to do there.

    Pillow's bilinear filter gives some pixels that differ by one grey level.
    """
    # Both libraries take seconds to import, and only squares need them.
    import torch
    from torchvision.transforms.v2.functional import resize

    resized = resize(torch.from_numpy(pixels).permute(2, 0, 1), list(target), antialias=True)
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy())


def _mask(
    mask: Pixels,
    labels: MaskLabels | None,
    original: tuple[int, int],
    shape: tuple[int, int],
    encoding: Encoding,
) -> Encoded:
    """Name the mask's values, check that it fits the picture and resize it without mixing labels."""
    if labels is not None:
        mask = _stored_values(mask, labels)
    if mask.shape != original:
        raise BadImageError(
            f"the mask has {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"the picture {original[1]} x {original[0]}"
        )
    if shape != original:
        mask = np.asarray(Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST))
    return encode(mask, encoding)


def _stored_values(mask: Pixels, labels: MaskLabels) -> Pixels:
    """Turn the values of a mask file into those of the store. Raises BadImageError for a value without a name."""
    stored = np.frombuffer(labels.stored or bytes(range(VALUES)), np.uint8)
    unnamed = (stored >= len(labels.names)) & (stored != NO_LABEL)
    present = np.flatnonzero(unnamed & (np.bincount(mask.ravel(), minlength=VALUES) > 0))
    if present.size:
        raise BadImageError(f"the mask holds the value {present[0]}, which none of its labels names")
    return stored[mask]


def _scale(box: Box, across: float, down: float) -> Box:
    x, y, w, h = box
    return x * across, y * down, w * across, h * down
