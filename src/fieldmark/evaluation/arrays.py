"""Checking the inputs of the measures: finite embeddings of unit length, comparable labels, scores with targets."""

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array: TypeAlias = npt.NDArray[Any]
NAMED_ROWS = 5  # how many wrong rows an error names
CHECKED = 2**12  # rows that are looked at in one go: what is made of them stays in the cache of a processor
HELD = 2**25  # up to so many numbers are held as unit rows


def unit_rows(embeddings: Tensor | Array, name: str) -> Tensor:
    """Return (N, D) embeddings in float64 with rows of length one; a zero row stays zero.

    The result stays on the device of the embeddings; from a device without float64 (MPS) it goes to the CPU. Raises
    ValueError for a tensor that is not two-dimensional and for rows that are not finite, naming them.
    """
    return unit(checked_rows(embeddings, name))


def checked_rows(embeddings: Tensor | Array, name: str) -> Tensor:
    """Return (N, D) embeddings as a tensor on their device; from one without float64 (MPS) they go to the CPU.

    Raises ValueError for a tensor that is not two-dimensional and for rows that are not finite, naming them.
    """
    rows = torch.as_tensor(embeddings).detach()
    if rows.ndim != 2:
        raise ValueError(f"{name} must have shape (rows, dimensions), it has {tuple(rows.shape)}")
    _refuse_non_finite(rows, name)
    return rows.cpu() if rows.device.type == "mps" else rows


def unit(rows: Tensor) -> Tensor:
    """Return finite rows (N, D) in float64 with length one; a zero row stays zero."""
    rows = rows.to(torch.float64)
    if rows.numel() == 0:
        return rows
    # Dividing by the largest entry first keeps the squares of very large and very small entries in range.
    largest = rows.abs().amax(dim=1, keepdim=True)
    rows = rows / torch.where(largest > 0, largest, 1.0)
    norms = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


class Rows:
    """Embeddings (N, D), not normalised: a tensor, or an array that may be mapped from a file.

    Unit rows are made when they are needed: a gallery of millions stays where it lies.

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
        if self._held is None:
            return unit(self.source[index])
        rows = self._held[0]
        return rows[index] if isinstance(index, slice) else rows.index_select(0, index)

    def low(self, part: slice) -> Tensor:
        """Return the same rows rounded to float32."""
        return self.exact(part).float() if self._held is None else self._held[1][part]

    def rounded(self, part: slice) -> Tensor:
        """Return the same rows rounded to bfloat16."""
        return self.low(part).bfloat16() if self._held is None else self._rounded[part]

    @cached_property
    def lost(self) -> float:
        """The largest length that rounding to bfloat16 takes from a row."""
        parts = [slice(at, at + CHECKED) for at in range(0, len(self), CHECKED)]
        lengths = [(self.exact(part) - self.rounded(part)).norm(dim=1).amax() for part in parts]
        return float(torch.stack(lengths).amax()) if lengths else 0.0

    @cached_property
    def _rounded(self) -> Tensor:
        return self.low(slice(0, None)).bfloat16()

    @cached_property
    def _held(self) -> tuple[Tensor, Tensor] | None:
        """The rows in float64 and in float32, unless they are too many."""
        if self.source.numel() > HELD:
            return None
        rows = torch.empty(self.source.shape, dtype=torch.float64, device=self.device)
        for part in torch.arange(len(self)).split(CHECKED):
            rows[part[0] : part[-1] + 1] = unit(self.source[part[0] : part[-1] + 1])
        return rows, rows.float()


def float_array(values: Any) -> Array:
    """Return a tensor (on any device, of any precision), an array or a list as an array of float64."""
    array: Array = np.asarray(
        values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values, dtype=np.float64
    )
    return array


def label_array(labels: Any, rows: int, name: str) -> Array:
    """Return labels (numbers or strings; tensor, array or list) as an array of shape (rows,).

    Raises ValueError when there is not one label for each row.
    """
    array: Array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one label a row; it has {array.shape}")
    return array


def checked_scores(scores: Any, targets: Any) -> tuple[Array, Array]:
    """Return scores and targets (N, C) of multi-label pictures in float64; tensors, arrays or lists.

    Raises ValueError for other ranks, shapes that differ, no picture or class, scores that are not finite
    and targets other than 0 and 1.
    """
    values, truth = float_array(scores), float_array(targets)
    if values.ndim != 2 or values.shape != truth.shape or not values.size:
        raise ValueError(
            f"scores and targets must both have shape (pictures, classes), they have {values.shape}, {truth.shape}"
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(f"scores: NaN or an infinite value for picture {row}, class {column}")
    if not np.isin(truth, (0.0, 1.0)).all():
        raise ValueError("targets must be 0 or 1")
    return values, truth


def _refuse_non_finite(rows: Tensor, name: str) -> None:
    wrong = [(~some.isfinite()).any(dim=1) for some in rows.split(CHECKED)]
    bad = torch.cat(wrong).nonzero().flatten().tolist() if wrong else []
    if bad:
        shown = ", ".join(str(row) for row in bad[:NAMED_ROWS])
        more = f" and {len(bad) - NAMED_ROWS} more" if len(bad) > NAMED_ROWS else ""
        raise ValueError(f"{name}: NaN or infinite values in row {shown}{more} of {len(rows)}")
