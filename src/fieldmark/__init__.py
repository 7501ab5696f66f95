"""Fieldmark: five methods for fine-grained and long-tailed visual recognition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fieldmark.trained import TrainedModel

__all__ = ["load"]


def load(path: str | Path) -> TrainedModel:
    """Return the trained model in a folder such as `models/irt/variants/R/0`, where 0 is the seed.

    `embed(pictures)` gives unit-length descriptors (N, D), `predict(pictures)` a prediction per picture, whichever
    the method does; a picture is a path, bytes, a PIL image or uint8 pixels (H, W, 3). Raises UserError (of
    `fieldmark.base.errors`) when the folder holds no trained model. The folder of a variant
    gives its model where there is only one.

    >>> import fieldmark
    >>> model = fieldmark.load("models/irt/variants/R/0")
    >>> vectors = model.embed(["a.jpg", "b.jpg"])
    >>> len(vectors), round(float(vectors[0] @ vectors[0]), 3)
    (2, 1.0)
    """
    from fieldmark.trained import TrainedModel  # torch takes seconds to import: only those who load wait

    return TrainedModel(Path(path))
