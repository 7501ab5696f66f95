"""Embeddings of which unit rows are made when they are needed: a gallery of millions stays where it lies."""

from functools import cached_property

import torch
from torch import Tensor

from fieldmark.evaluation.arrays import CHECKED, Array, checked_rows, unit

HELD = 2**25  # up to so many numbers are held as unit rows


class Rows:
    """Embeddings (N, D), not normalised: a tensor, or an array that may be mapped from a file.

    Raises ValueError for another shape and for rows that are not finite, naming them.
    """

    def __init__(self, embeddings: Tensor | Array, name: str) -> None:
        self.source = checked_rows(embeddings, name)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def dim(self) -> int:
        """D."""
        return self.source.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the rows lie and are computed with."""
        return self.source.device

    def exact(self, index: Tensor | slice) -> Tensor:
        """Return rows of length one in float64; a zero row stays zero."""
        return unit(self.source[index]) if self._held is None else self._held[0][index]

    def low(self, part: slice) -> Tensor:
        """Return the same rows rounded to float32."""
        return self.exact(part).float() if self._held is None else self._held[1][part]

    @cached_property
    def _held(self) -> tuple[Tensor, Tensor] | None:
        """The rows in float64 and in float32, unless they are too many."""
        if self.source.numel() > HELD:
            return None
        rows = torch.empty(self.source.shape, dtype=torch.float64, device=self.device)
        for part in torch.arange(len(self)).split(CHECKED):
            rows[part[0] : part[-1] + 1] = unit(self.source[part[0] : part[-1] + 1])
        return rows, rows.float()
