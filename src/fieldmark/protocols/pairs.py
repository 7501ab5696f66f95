"""Pictures with their masks: which a task has, fractions of them, and batches of both."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision import tv_tensors

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, Slice, mix
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.datasets.data.packed.store import NO_LABEL, ImageStore
from fieldmark.datasets.data.roles.splits import chance
from fieldmark.engine.task import Subset, Task


@dataclass(frozen=True)
class Pairs:
    """Pictures that have a mask. `classes` is the number of labels, 255 not counted."""

    task: Task
    subset: Subset
    mask_rows: NDArray[np.int64]
    classes: int

    @classmethod
    def of(cls, task: Task, *roles: str) -> "Pairs":
        """Take the pictures of some roles that have a mask. Raises UserError when nothing names their labels."""
        subset = task.subset(*roles)
        mask_rows = task.manifest.set_index("row")["mask_row"]
        rows = mask_rows.reindex(subset.rows).to_numpy(np.int64)
        chosen, names = rows >= 0, task.store.mask_names
        if chosen.any() and not names:
            raise UserError(f"{task.store.folder} does not say what its masks hold; run `prepare` again")
        return cls(task, Subset(subset.frame[chosen]), rows[chosen], len(names))

    def __len__(self) -> int:
        return len(self.mask_rows)

    def few(self, fraction: float, seed: int) -> NDArray[np.int64]:
        """Draw a fraction of the pictures, at least one; a larger fraction contains the smaller ones.

        Returns their indices in rising order. The draw depends only on the seed and on the ids.
        """
        order = np.argsort([chance(seed, str(key)) for key in self.subset.frame["id"]], kind="stable")
        chosen: NDArray[np.int64] = np.sort(order[: max(1, round(fraction * len(self)))])
        return chosen

    def taken(self, indices: NDArray[np.int64]) -> "Pairs":
        """Return some of the pairs, by their index."""
        return replace(
            self, subset=Subset(self.subset.frame.iloc[indices]), mask_rows=self.mask_rows[indices]
        )

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The mask of one picture as it is stored, (H, W)."""
        return self.task.store.mask(int(self.mask_rows[index]))

    def seen(self) -> Tensor:
        """Say of every label whether any of the masks holds it, (C,) bool."""
        seen = torch.zeros(self.classes, dtype=torch.bool)
        for index in range(len(self)):
            seen |= labels_in(torch.from_numpy(self.mask(index).copy()), self.classes)
        return seen

    def small_masks(self, side: int) -> Tensor:
        """All masks reduced to side x side by the nearest pixel, (N, side, side) uint8."""
        masks = (torch.from_numpy(self.mask(index).copy())[None, None] for index in range(len(self)))
        return torch.cat([interpolate(mask, (side, side), mode="nearest-exact")[0] for mask in masks])


class PairDataset(PictureDataset):
    """Adds "masks" (B, size, size) uint8 to the batches, cut and mirrored as their pictures are."""

    def __init__(
        self,
        store: ImageStore,
        rows: NDArray[np.int64],
        mask_rows: NDArray[np.int64],
        transform: Callable[..., tuple[Tensor, Tensor]],
        seed: int = 0,
    ) -> None:
        super().__init__(store, rows, np.zeros(len(rows), np.int64), transform, seed)
        self.mask_rows = mask_rows

    def __getitem__(self, part: Slice) -> Batch:
        with torch.random.fork_rng(devices=[]):
            pairs = [self._pair(part, position) for position in range(len(part.indices))]
        images, masks = zip(*pairs, strict=True)
        return {**self.batch(part, images), "masks": torch.stack(masks)[:, 0]}

    def _pair(self, part: Slice, position: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(mix(self.seed, part.step, part.first + position))
        index = part.indices[position]
        image = tv_tensors.Image(to_tensor(self.store[int(self.rows[index])]))
        mask = torch.from_numpy(self.store.mask(int(self.mask_rows[index])).copy())
        pair: tuple[Tensor, Tensor] = self.transform(image, tv_tensors.Mask(mask[None]))
        return pair


def labels_in(masks: Tensor, classes: int) -> Tensor:
    """Say of every label whether masks of any shape hold it, (C,) bool; 255 is no label."""
    counts = torch.bincount(masks.flatten().long(), minlength=NO_LABEL + 1)
    return counts[:classes] > 0
