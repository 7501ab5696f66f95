"""Pictures of the user as a network is shown them, to compare a file with its model."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.inference.pictures import find_pictures
from fieldmark.trained import BATCH, TrainedModel


def shown_pictures(model: TrainedModel, given: Sequence[Path]) -> Tensor:
    """Return up to BATCH pictures (N, 3, side, side) uint8, evenly spaced over those that are named.

    Raises UserError for one that cannot be read, and for fewer than two.
    """
    paths = find_pictures(given)
    if len(paths) < 2:
        raise UserError("an ONNX file is compared on at least two pictures; name more")
    chosen = paths[:: -(-len(paths) // BATCH)]
    return torch.stack([model.tensor(path) for path in chosen])
