"""Trained models for use in a notebook or a program: pictures in, descriptors or classes out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.contract.method import Classifies, Embeds
from fieldmark.contract.variants import DESCRIPTION, load_model, seed_folders
from fieldmark.datasets.data.batches.transforms import evaluation_transform, to_tensor
from fieldmark.datasets.preparing.decoding import BadImageError, decode, pixels_of

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]
ONE_PICTURE = (str, Path, bytes, Image.Image, np.ndarray)
KINDS = "a path, bytes, a PIL image or an array (H, W, 3) of uint8"
BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture: its class names, and a probability (C,) for each.

    Where a picture has one class the probabilities sum to one; where it may have several, each stands alone,
    and `thresholds` (C,) come with the model.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    thresholds: NDArray[np.float32] | None = None

    @property
    def name(self) -> str:
        """The likeliest class."""
        return self.names[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the likeliest class."""
        return float(self.probabilities.max())

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the k likeliest classes with their probabilities, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.names[place], float(self.probabilities[place])) for place in order]

    @property
    def present(self) -> list[tuple[str, float]]:
        """The classes said to be in the picture, likeliest first: each from its own threshold on, or the likeliest."""
        if self.thresholds is None:
            return self.top(1)
        said = dict(zip(self.names, self.probabilities >= self.thresholds, strict=True))
        return [(name, value) for name, value in self.top(len(self.names)) if said[name]]

    def above(self, threshold: float = 0.5) -> list[tuple[str, float]]:
        """Return every class of at least that probability, likeliest first."""
        return [(name, value) for name, value in self.top(len(self.names)) if value >= threshold]


class TrainedModel:
    """A model read from `models/<method>/variants/<variant>/<seed>`, with the test geometry it was evaluated with."""

    def __init__(self, folder: Path) -> None:
        self.model = load_model(folder)
        # Of the folder of a variant, the only model is read.
        self.folder = folder if (folder / DESCRIPTION).exists() else seed_folders(folder)[0]
        self.transform = evaluation_transform(self.model.loaded)

    def embed(self, images: Picture | Sequence[Picture]) -> Tensor:
        """Return unit-length descriptors (N, D) of N pictures: paths, bytes, PIL images or (H, W, 3) uint8.

        One picture counts as a list of one. A picture has the same descriptor in each form: turned as its EXIF
        orientation says, transparency on white, 16-bit grey scaled to 8 bits.

        Raises UserError for what is no picture, and for a model that
        classifies.
        """
        if not isinstance(self.model, Embeds):
            raise UserError(f"a {type(self.model).__name__} model does not do that; use its predict")
        return self._batched(self.model.embed, images)

    def predict(self, images: Picture | Sequence[Picture]) -> list[Prediction]:
        """Return a prediction for each of N pictures, of the kinds that `embed` takes.

        Raises UserError for what is no picture, and for a model that does not classify pictures alone.
        """
        if not isinstance(self.model, Classifies):
            raise UserError(f"a {type(self.model).__name__} model does not do that; use its embed")
        probabilities = self._batched(self.model.probabilities, images)
        thresholds = self.model.presence_thresholds()
        limits = None if thresholds is None else thresholds.numpy()
        names = tuple(self.model.class_names)
        return [Prediction(names, row, limits) for row in probabilities.numpy()]

    def tensor(self, image: Picture) -> Tensor:
        """Return a picture as the network is shown it, (3, side, side) uint8. Raises UserError for no picture."""
        shown: Tensor = self.transform(to_tensor(read_pixels(image)))
        return shown

    @torch.inference_mode()
    def _batched(self, function: Callable[[Tensor], Tensor], images: Picture | Sequence[Picture]) -> Tensor:
        pictures = (
            list(images) if isinstance(images, Iterable) and not isinstance(images, ONE_PICTURE) else [images]
        )
        if not pictures:
            raise UserError("there is no picture to look at")
        tensors = [self.tensor(picture) for picture in pictures]
        batches = [torch.stack(tensors[start : start + BATCH]) for start in range(0, len(tensors), BATCH)]
        return torch.cat([function(batch) for batch in batches])


def read_pixels(image: Picture) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a picture: the same for its path, its bytes and what Pillow opened.

    Raises UserError for what is no picture.
    """
    try:
        if isinstance(image, str | Path):
            return decode(Path(image).read_bytes()).pixels
        if isinstance(image, bytes):
            return decode(image).pixels
        if isinstance(image, Image.Image):
            return pixels_of(image)
    except (BadImageError, OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise UserError(f"{image if isinstance(image, str | Path) else 'the picture'}: {error}") from None
    if not isinstance(image, np.ndarray):
        raise UserError(f"a picture is {KINDS}, this is of type {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UserError(f"an array must be (H, W, 3) uint8, this one is {image.shape} {image.dtype}")
    return image
