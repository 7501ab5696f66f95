"""Predicting dense labels window by window, on pictures that keep their shape.

As in R. Strudel et al., "Segmenter: Transformer for Semantic Segmentation", ICCV 2021, and its code: a picture is
resized by its shorter side, windows lie `stride` apart, the last one of a row or column ends with the picture, and
where windows overlap the mean of their scores counts.
"""

from collections.abc import Callable, Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fieldmark.base.progress import progress
from fieldmark.datasets.data.batches.transforms import WindowParams, to_tensor
from fieldmark.evaluation.segmentation import NO_LABEL, Overlaps, confusion_matrix
from fieldmark.protocols.crops import resized, scaled_shape
from fieldmark.protocols.dense import predict
from fieldmark.protocols.pairs import Pairs
from fieldmark.runtime.device import pick_device

AT_ONCE = 8  # windows that the network sees together: this bounds the memory
Scores = Callable[[Tensor], Tensor]


def window_starts(length: int, side: int, stride: int) -> list[int]:
    """Return where windows of `side` pixels begin along `length` pixels, at least `side`: the last ends with them."""
    return [*range(0, length - side, stride), length - side]


def predicted_shape(height: int, width: int, params: WindowParams) -> tuple[int, int]:
    """Return the (height, width) at which a picture is predicted: both sides are at least a window's."""
    tall, wide = scaled_shape(height, width, params.resize)
    factor = max(1.0, params.side / min(tall, wide))
    return max(params.side, round(tall * factor)), max(params.side, round(wide * factor))


@torch.inference_mode()
def sliding_scores(scores: Scores, image: Tensor, params: WindowParams) -> Tensor:
    """Return the scores (C, H, W) of a picture (3, H, W), both sides of which are at least a window's.

    `scores` turns windows (B, 3, side, side) into scores (B, C, h, w), which are brought to the window's size
    bilinearly.
    """
    side, (height, width) = params.side, image.shape[-2:]
    tops, lefts = (window_starts(length, side, params.stride) for length in (height, width))
    places = [(top, left) for top in tops for left in lefts]
    summed, times = torch.zeros(()), image.new_zeros((height, width), dtype=torch.float32)
    for first in range(0, len(places), AT_ONCE):
        some = places[first : first + AT_ONCE]
        windows = torch.stack([image[:, top : top + side, left : left + side] for top, left in some])
        fine = interpolate(scores(windows).float(), (side, side), mode="bilinear", align_corners=False)
        if not first:
            summed = fine.new_zeros((fine.shape[1], height, width))
        for (top, left), window in zip(some, fine, strict=True):
            summed[:, top : top + side, left : left + side] += window
            times[top : top + side, left : left + side] += 1
    return summed / times


def slide(
    model: nn.Module, scores: Scores, pairs: Pairs, params: WindowParams, shown: Collection[int], desc: str
) -> tuple[Overlaps, list[NDArray[np.uint8]]]:
    """Predict all pictures of `pairs` window by window, and compare with their masks at the size of these.

    `model` is what `scores` uses: it is put on the task's device and in eval mode. Returns the pixel counts, and
    the predicted masks (H, W) of the pictures whose index is in `shown`.
    """
    device = torch.device(pick_device(pairs.task.runtime))
    model.to(device).eval()
    confusions, masks = [], []
    for index in progress(range(len(pairs)), desc=desc, unit="img"):
        picture = to_tensor(pairs.task.store[int(pairs.subset.rows[index])])
        mask = pairs.mask(index)
        height, width = mask.shape
        image = resized(picture, predicted_shape(height, width, params)).to(device)
        guess = predict(sliding_scores(scores, image, params)[None], (height, width))[0]
        confusions.append(confusion_matrix(guess, mask, pairs.classes, NO_LABEL))
        if index in shown:
            masks.append(guess.byte().numpy())
    return Overlaps.of(confusions), masks
