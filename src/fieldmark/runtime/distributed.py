"""Training in several processes: gathering rows from all of them, and which process writes the results."""

import os

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


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
