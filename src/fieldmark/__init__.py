"""Fieldmark: five methods for fine-grained and long-tailed visual recognition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fieldmark.trained import TrainedModel


def load(path: str | Path) -> TrainedModel:
    """Return the trained model in a folder such as `models/irt/variants/R`. Raises UserError when there is none."""
    from fieldmark.trained import TrainedModel  # torch takes seconds to import: only those who load wait

    return TrainedModel(Path(path))
