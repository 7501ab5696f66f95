"""Square crops of pictures that keep their shape: how Segmenter trains on dense labels.

R. Strudel et al., "Segmenter: Transformer for Semantic Segmentation", ICCV 2021, and its code.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import resize

from fieldmark.datasets.data.batches.transforms import WindowParams
from fieldmark.datasets.data.packed.store import NO_LABEL

LONGEST = 4  # a picture longer than so many times its other side is made smaller, as in Segmenter's ADE20k
TRIES = 10  # how often a crop is drawn again
MEAN_COLOUR = (124, 116, 104)  # ImageNet's; what Segmenter fills up with is 0 after normalising
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.125, 0.5, 0.5, 0.1  # 32 of 255, a half, a half, 18 of OpenCV's 180


def scaled_shape(height: int, width: int, shorter: float) -> tuple[int, int]:
    """Return (height, width) in proportion whose shorter side is `shorter`, or whose longer one is LONGEST times it."""
    factor = min(shorter / min(height, width), LONGEST * shorter / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


class RandomWindow(torch.nn.Module):
    """A picture and its mask, scaled by one random factor, to a random square crop of both.

    What the picture does not fill is below and to the right of it, in the mean colour and without label.
    """

    def __init__(self, params: WindowParams) -> None:
        super().__init__()
        self.params, self.distortion = params, _distortion() if params.distort else None

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 (3, H, W) and (1, H, W) -> uint8 (3, side, side) and (1, side, side)."""
        low, high = self.params.scale
        shorter = self.params.resize * (low + (high - low) * float(torch.rand(())))
        height, width = image.shape[-2:]
        shape = scaled_shape(height, width, shorter)
        image, mask = resized(image, shape), interpolate(mask[None], shape, mode="nearest-exact")[0]
        rows, columns = self._place(mask)
        image, mask = image[:, rows, columns], mask[:, rows, columns]
        if self.params.flip and float(torch.rand(())) < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        if self.distortion is not None:
            image = self.distortion(image)
        return self._filled(image, MEAN_COLOUR), self._filled(mask, (NO_LABEL,))

    def _place(self, mask: Tensor) -> tuple[slice, slice]:
        """Draw where to cut, again while one label takes too much of what has labels, TRIES times at the most."""
        for _ in range(1 + TRIES):
            rows, columns = (_part(length, self.params.side) for length in mask.shape[-2:])
            if not self._uniform(mask[:, rows, columns]):
                break
        return rows, columns

    def _uniform(self, mask: Tensor) -> bool:
        if self.params.one_label == 1.0:
            return False
        counts = torch.bincount(mask.flatten().long(), minlength=NO_LABEL + 1)[:NO_LABEL]
        return bool(counts.max() >= self.params.one_label * counts.sum())

    def _filled(self, values: Tensor, colour: tuple[int, ...]) -> Tensor:
        height, width = values.shape[-2:]
        out = torch.tensor(colour, dtype=values.dtype)[:, None, None].repeat(
            1, self.params.side, self.params.side
        )
        out[:, :height, :width] = values
        return out


def resized(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resize a uint8 picture (3, H, W) to `shape` bilinearly, with antialiasing."""
    out: Tensor = resize(image, list(shape), antialias=True)
    return out


def _part(length: int, side: int) -> slice:
    start = int(torch.randint(max(length - side, 0) + 1, ()))
    return slice(start, start + side)


def _distortion() -> v2.Compose:
    """Return mmsegmentation's photometric distortion in torchvision's operations; brightness is a factor, too."""

    def perhaps(**strength: float) -> v2.RandomApply:
        return v2.RandomApply([v2.ColorJitter(**strength)], p=0.5)

    contrast = perhaps(contrast=CONTRAST)
    colour = [perhaps(saturation=SATURATION), perhaps(hue=HUE)]
    orders = [v2.Compose([contrast, *colour]), v2.Compose([*colour, contrast])]
    return v2.Compose([perhaps(brightness=BRIGHTNESS), v2.RandomChoice(orders)])
