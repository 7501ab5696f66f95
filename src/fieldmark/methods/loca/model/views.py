"""Reference and query views, made on the device: cropped, resized, recoloured and blurred.

A picture's views depend on the seed, the step and its index in the global batch alone: its random numbers are
drawn on the CPU, from a separate generator, and its boxes are computed there. No tensor's shape depends on a
number that was drawn, and what is moved to the device is not waited for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from fieldmark.datasets.data.batches.loading import mix
from fieldmark.methods.loca.model.correspondence import position_targets
from fieldmark.methods.loca.model.params import Range, ViewParams
from fieldmark.methods.loca.model.photometry import NUMBERS as COLOUR_NUMBERS
from fieldmark.methods.loca.model.photometry import blurred, recoloured, solarized
from fieldmark.runtime.device import moved

ASPECT, HEIGHT, ROW, COLUMN, FLIP = range(5)
GEOMETRY_NUMBERS = 5
SALT = 1  # makes these numbers differ from those of the loader's transforms
NUMBERS = GEOMETRY_NUMBERS + COLOUR_NUMBERS  # uniform numbers per view


@dataclass(frozen=True)
class View:
    """One view of each picture: (B, ...), or (n, B, ...) for the n focal queries."""

    images: Tensor  # (..., 3, S, S) in [0, 1]
    boxes: Tensor  # (..., 4) long: y, x, height, width in the source picture
    flipped: Tensor  # (...) bool
    targets: Tensor  # (..., rows, columns) long: patches of the reference, -1 outside


@dataclass(frozen=True)
class Views:
    """The views of a batch."""

    reference: View
    random: View
    focal: View


@dataclass(frozen=True)
class _Kind:
    """How one kind of view is made."""

    size: int
    area: Range
    flips: bool
    blur: float
    solarize: float


def draws(seed: int, step: int, indices: range, count: int) -> Tensor:
    """Return uniform numbers (len(indices), count) on the CPU: a row depends on (seed, step, index) alone."""
    generator = torch.Generator()
    rows = [
        torch.rand(count, generator=generator.manual_seed(mix(seed, step, index, SALT))) for index in indices
    ]
    return torch.stack(rows)


@torch.no_grad()
def make_views(images: Tensor, uniform: Tensor, params: ViewParams, patch: int) -> Views:
    """Cut the views that `uniform` says from `images` (B, 3, H, W), uint8 or float in [0, 1].

    `uniform` (B, 2 + focal_count, NUMBERS) in [0, 1), on the CPU: the reference, the random query, then the
    focal ones. `patch` is the side of a patch in pixels.
    """
    pictures = images.float() / 255 if images.dtype == torch.uint8 else images
    numbers = uniform.transpose(0, 1)
    kinds = list(zip(_kinds(params), (numbers[0], numbers[1], numbers[2:]), strict=True))
    height, width = pictures.shape[-2:]
    boxes = [crop_boxes(drawn, height, width, kind.area, params.aspect) for kind, drawn in kinds]
    with torch.autocast(pictures.device.type, enabled=False):
        reference, random, focal = (
            _view(pictures, drawn, box, boxes[0], kind, params, patch)
            for (kind, drawn), box in zip(kinds, boxes, strict=True)
        )
    return Views(reference, random, focal)


def crop_boxes(uniform: Tensor, height: int, width: int, area: Range, aspect: Range) -> Tensor:
    """Draw boxes (..., 4), long: y, x, height, width, within a picture of `height` x `width` pixels.

    The aspect ratio (width over height) is uniform in `aspect`, then the height is uniform among those whose
    area is a fraction in `area` and that fit, then where it lies: TensorFlow's way, not torchvision's, in which
    the area is uniform. `uniform` (..., NUMBERS) in [0, 1).
    """
    u = uniform.double()
    ratio = aspect[0] + (aspect[1] - aspect[0]) * u[..., ASPECT]
    lowest, highest = ((fraction * height * width / ratio).sqrt().round() for fraction in area)
    highest = torch.minimum(highest, torch.floor(width / ratio)).clamp(1, height)
    lowest = torch.minimum(lowest.clamp(min=1), highest)
    tall = lowest + torch.floor(u[..., HEIGHT] * (highest - lowest + 1))
    wide = (tall * ratio).round().clamp(1, width)
    y, x = torch.floor(u[..., ROW] * (height - tall + 1)), torch.floor(u[..., COLUMN] * (width - wide + 1))
    return torch.stack([y, x, tall, wide], dim=-1).long()


def crop(pictures: Tensor, boxes: Tensor, size: int, flipped: Tensor) -> Tensor:
    """Crop `pictures` (B, 3, H, W) to `boxes` (..., B, 4), resize bilinearly and mirror where `flipped`.

    Returns (..., B, 3, size, size). Half-pixel centres, no antialiasing, nothing from beyond the box.
    """
    if boxes.ndim > 2:
        views = [crop(pictures, box, size, flip) for box, flip in zip(boxes, flipped, strict=True)]
        return torch.stack(views)
    rows = _sampled(boxes[:, 0], boxes[:, 2], pictures.shape[2], size)
    columns = _sampled(boxes[:, 1], boxes[:, 3], pictures.shape[3], size)
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    shape = (len(boxes), size, size)
    grid = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], dim=3)
    return grid_sample(pictures, grid.to(pictures.dtype), mode="bilinear", align_corners=False)


def _sampled(start: Tensor, length: Tensor, source: int, size: int) -> Tensor:
    """Along one axis: where `size` pixels of a view look in `source` pixels, (B, size) in [-1, 1]."""
    index = torch.arange(size, device=start.device)
    within = (index + 0.5) * length[:, None] / size
    within = torch.minimum(within.clamp(min=0.5), length[:, None] - 0.5)
    return 2 * (start[:, None] + within) / source - 1


def _kinds(params: ViewParams) -> tuple[_Kind, _Kind, _Kind]:
    blur = (params.blur.reference, params.blur.random, params.blur.focal) if params.blur else (0.0,) * 3
    side = params.reference_size
    return (
        _Kind(side, params.reference_area, False, blur[0], 0.0),
        _Kind(side, params.random_area, True, blur[1], params.colour.solarize),
        _Kind(params.focal_size, params.focal_area, True, blur[2], 0.0),
    )


def _view(
    pictures: Tensor,
    uniform: Tensor,
    box: Tensor,
    reference: Tensor,
    kind: _Kind,
    params: ViewParams,
    patch: int,
) -> View:
    flipped = (uniform[..., FLIP] < 0.5) & kind.flips
    targets = position_targets(
        reference,
        box,
        kind.size // patch,
        flipped,
        reference_grid=params.reference_size // patch,
        query_size=kind.size,
    )
    box, flipped, targets = (moved(values, pictures.device) for values in (box, flipped, targets))
    numbers = uniform[..., GEOMETRY_NUMBERS:]
    shown = recoloured(crop(pictures, box, kind.size, flipped), numbers, params.colour)
    if params.blur:
        shown = blurred(shown, numbers, kind.blur, params.blur.sigma)
    return View(solarized(shown, numbers, kind.solarize), box, flipped, targets)
