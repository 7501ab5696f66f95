"""Batches from the image store. Workers load them ahead of time, yet a batch depends on seed and step alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data import Sampler as TorchSampler

from fieldmark.datasets.data.batches.samplers import Sampler
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.datasets.data.packed.store import ImageStore

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Slice:
    """A part of the global batch of `step`: the item `indices[i]` has the index `first + i` in that batch."""

    step: int
    first: int
    indices: tuple[int, ...]


@dataclass(eq=False)
class PictureDataset(Dataset[Batch]):
    """Assembles whole batches {"images", "labels", "indices"} from rows of an image store.

    The random numbers of the transform depend only on `seed`, the step and the index in the global batch: neither
    workers, nor resuming, nor the number of processes changes what is drawn.
    """

    store: ImageStore
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    transform: Callable[..., Any]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: Slice) -> Batch:
        with torch.random.fork_rng(devices=[]):
            images = [self._image(part, index) for index in range(len(part.indices))]
        return self.batch(part, images)

    def batch(self, part: Slice, images: Sequence[Tensor]) -> Batch:
        """Return the batch of a slice whose pictures, each (3, H, W), are `images`."""
        return {"images": torch.stack(list(images)), **self.labelled(part)}

    def labelled(self, part: Slice) -> Batch:
        """Return what the batch of a slice holds beside pictures: `labels` and `indices`, both (B,)."""
        chosen = np.array(part.indices, np.int64)
        return {"labels": torch.from_numpy(self.labels[chosen]), "indices": torch.from_numpy(chosen)}

    def seed_of(self, part: Slice, index: int) -> int:
        """Return the seed of the transform of the item `index` of a slice."""
        return mix(self.seed, part.step, part.first + index)

    def _image(self, part: Slice, index: int) -> Tensor:
        # torch.manual_seed would look after every kind of GPU: a third of the time of a picture.
        torch.default_generator.manual_seed(self.seed_of(part, index))
        image: Tensor = self.transform(to_tensor(self.store[int(self.rows[part.indices[index]])]))
        return image


class IndexDataset(PictureDataset):
    """Batches without pictures, {"labels", "indices"}: for what looks up all that it reads by `indices`."""

    def __getitem__(self, part: Slice) -> Batch:
        return self.labelled(part)


class TrainingSlices(TorchSampler[Slice]):
    """This process's parts of the global batches from step `start` up to `stop`.

    Each global batch is cut into `world_size` x `micro_batches` equal parts.
    """

    def __init__(
        self,
        sampler: Sampler,
        start: int,
        stop: int,
        rank: int = 0,
        world_size: int = 1,
        micro_batches: int = 1,
    ) -> None:
        if sampler.batch_size % (world_size * micro_batches):
            raise ValueError(
                f"batch_size {sampler.batch_size} cannot be cut into {world_size} processes x {micro_batches} parts"
            )
        self.sampler, self.start, self.stop, self.micro_batches = sampler, start, stop, micro_batches
        self.rank, self.length = rank, sampler.batch_size // (world_size * micro_batches)

    def __len__(self) -> int:
        return (self.stop - self.start) * self.micro_batches

    def __iter__(self) -> Iterator[Slice]:
        for step in range(self.start, self.stop):
            indices = self.sampler.batch(step)
            for micro in range(self.micro_batches):
                first = (self.rank * self.micro_batches + micro) * self.length
                part = indices[first : first + self.length]
                yield Slice(step, first, tuple(int(index) for index in part))


def sequential_slices(size: int, batch_size: int) -> list[Slice]:
    """Return the slices that visit 0..size-1 once, in order."""
    return [
        Slice(n, 0, tuple(range(first, min(first + batch_size, size))))
        for n, first in enumerate(range(0, size, batch_size))
    ]


def loader(
    dataset: PictureDataset, slices: list[Slice] | TrainingSlices, workers: int, pin: bool = False
) -> Iterator[Batch]:
    """Iterate over the batches of `slices` in order; `workers` processes load them ahead of time (0: no process)."""
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=slices,
            num_workers=min(workers, len(slices)),
            prefetch_factor=4 if workers and slices else None,
            pin_memory=pin,
            worker_init_fn=_single_thread,
        )
    )


def mix(*numbers: int) -> int:
    """Hash whole numbers into one 63-bit seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _single_thread(worker: int) -> None:
    torch.set_num_threads(1)
