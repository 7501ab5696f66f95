"""Pictures for figures: as the network sees them."""

import numpy as np
from numpy.typing import NDArray

from fieldmark.datasets.data.batches.transforms import ImageParams, evaluation_transform, to_tensor
from fieldmark.engine.task import Task


def seen_picture(task: Task, images: ImageParams, row: int) -> NDArray[np.uint8]:
    """Return the picture of a `row` of the image store in the test geometry of `images`: uint8 (side, side, 3)."""
    seen: NDArray[np.uint8] = (
        evaluation_transform(images)(to_tensor(task.store[row])).permute(1, 2, 0).numpy()
    )
    return seen
