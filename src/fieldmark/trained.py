"""Trained models for use in a notebook or a program: pictures in, descriptors out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fieldmark.datasets.decoding import BadImageError, decode
from fieldmark.datasets.transforms import evaluation_transform, to_tensor
from fieldmark.engine.variants import load_model
from fieldmark.errors import UserError

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]
ONE_PICTURE = (str, Path, bytes, Image.Image, np.ndarray)
BATCH = 32


class TrainedModel:
    """A model read from `models/<method>/variants/<variant>`, with the test geometry it was evaluated with."""

    model: Any

    def __init__(self, folder: Path) -> None:
        self.model = load_model(folder)
        self.transform = evaluation_transform(self.model.params.images)

    @torch.inference_mode()
    def embed(self, images: Picture | Sequence[Picture]) -> Tensor:
        """Return unit-length descriptors (N, D) of N pictures: paths, bytes, PIL images or (H, W, 3) uint8.

        One picture counts as a list of one. Raises UserError for what is no picture.
        """
        several = [images] if isinstance(images, ONE_PICTURE) else list(images)
        if not several:
            raise UserError("there is no picture to embed")
        tensors = [self.transform(to_tensor(_pixels(image))) for image in several]
        batches = [torch.stack(tensors[i : i + BATCH]) for i in range(0, len(tensors), BATCH)]
        return torch.cat([self.model.embed(batch) for batch in batches])


def _pixels(image: Picture) -> NDArray[np.uint8]:
    try:
        if isinstance(image, str | Path):
            return decode(Path(image).read_bytes()).pixels
        if isinstance(image, bytes):
            return decode(image).pixels
    except (BadImageError, OSError) as error:
        raise UserError(f"{image if not isinstance(image, bytes) else 'the bytes'}: {error}") from None
    pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UserError(f"an array must be (H, W, 3) uint8, this one is {pixels.shape} {pixels.dtype}")
    return pixels
