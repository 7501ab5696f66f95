"""Batches from the image store. Workers load them ahead of time, yet a batch depends on seed and step alone."""

import ctypes
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data import Sampler as TorchSampler

from fieldmark.datasets.data.batches.drawing import DeferredTransform
from fieldmark.datasets.data.batches.samplers import Sampler
from fieldmark.datasets.data.batches.transforms import to_tensor
from fieldmark.datasets.data.packed.store import ImageStore

Batch = dict[str, Tensor]
AHEAD = 4  # batches that each worker loads ahead
IN_USE = 2  # batches that have left the queue and are still held: the one in use, and one on its way to a GPU
SHARED_MEMORY = Path("/dev/shm")


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
    workers, nor resuming, nor the number of processes changes what is drawn. With a `DeferredTransform` a batch has in
    place of "images" what `augmented` makes them of.
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
        if isinstance(self.transform, DeferredTransform):
            return {**self.transform.batch(images), **self.labelled(part)}
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

    def _image(self, part: Slice, index: int) -> Any:
        # torch.manual_seed would look after every kind of GPU: a third of the time of a picture.
        torch.default_generator.manual_seed(self.seed_of(part, index))
        pixels = self.store[int(self.rows[part.indices[index]])]
        return self.transform(pixels if isinstance(self.transform, DeferredTransform) else to_tensor(pixels))


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
    """Iterate over the batches of `slices` in order; `workers` processes load them ahead of time (0: no process).

    Where shared memory does not hold so many batches, fewer are loaded ahead, or none; the batches are the same.
    """
    workers = min(workers, len(slices))
    ahead = _affordable(dataset, slices, workers) if workers else 0
    batches = iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=slices,
            num_workers=workers if ahead else 0,
            prefetch_factor=ahead or None,
            pin_memory=pin,
            worker_init_fn=_begin,
        )
    )
    return _followed(batches) if ahead else batches


def _followed(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield what loader processes send; say that one has died also where only its connection tells."""
    try:
        yield from batches
    except (ConnectionError, EOFError) as error:
        raise RuntimeError(f"DataLoader worker has died: {str(error) or type(error).__name__}") from error


def mix(*numbers: int) -> int:
    """Hash whole numbers into one 63-bit seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _affordable(dataset: PictureDataset, slices: list[Slice] | TrainingSlices, workers: int) -> int:
    """Return how many batches each worker may load ahead: as many as half of the free shared memory holds.

    The other half is for processes beside this one. A worker that asks for more than there is would be killed by the
    system, after which torch may wait for it for ever.
    """
    free = free_shared_memory()
    if free is None:
        return AHEAD
    first = next(iter(slices))
    one = dataset[Slice(first.step, first.first, first.indices[:1])]
    batch = len(first.indices) * sum(value.nbytes for value in one.values())
    ahead = min(AHEAD, (free // (2 * batch) - IN_USE) // workers)
    if ahead < 1:
        say_once(
            f"{SHARED_MEMORY} has {free >> 20} MB free, too little for loader processes with batches of "
            f"{batch / 2**20:.0f} MB: pictures are loaded without them, which is slower. Enlarge it (docker run "
            "--shm-size=2g) or set runtime.workers to 0"
        )
    return max(0, ahead)


def free_shared_memory() -> int | None:
    """Return how many bytes of shared memory are free; None where the system has no folder for it."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None


@cache
def say_once(line: str) -> None:
    """Say a line once per process, however often there is reason to."""
    print(line, file=sys.stderr)


def _begin(worker: int) -> None:
    """Make ready a worker: its parent alone says when it ends, also where a signal reaches the whole group."""
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _give_back_memory()


def _give_back_memory() -> None:
    """Return freed memory to the system, where the C library can.

    A process that is forked from one that has computed begins with a copy of all that this one had freed and kept.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
