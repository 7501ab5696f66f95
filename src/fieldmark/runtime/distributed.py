"""Training in several processes: gathering rows from all of them, and which process writes the results."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather

Job = TypeVar("Job")


def gather(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes, in rank order; with one process, return `rows`.

    Every process must have the same number of rows. Gradients flow back to the process that a row comes from.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    if rows.requires_grad:
        return torch.cat(all_gather(rows))
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


class ProcessShare:
    """The part of this process in what all of them compute together; see `Share` of `fieldmark.evaluation.tiles`."""

    def mine(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yield every n-th job of n processes."""
        yield from islice(jobs, process_rank(), None, process_count())

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all processes."""
        if process_count() > 1:
            dist.all_reduce(values)
        return values

    def stacked(self, values: Tensor) -> Tensor:
        """Return the values (...) of all P processes, (P, ...)."""
        return gather(values[None])


def from_first(values: Tensor) -> Tensor:
    """Return the values of the first process, in every process; they have the same shape everywhere."""
    if dist.is_available() and dist.is_initialized():
        dist.broadcast(values, src=0)
    return values


def process_rank() -> int:
    """Return the number of this process among those that train together, counted from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def process_count() -> int:
    """Return how many processes work together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def first_process() -> bool:
    """Tell whether this process writes the results; launchers number processes from 0."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0
