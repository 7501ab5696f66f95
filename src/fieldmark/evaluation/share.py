"""What a process computes of something that several compute together."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from torch import Tensor

Job = TypeVar("Job")


class Share(Protocol):
    """The part of one process; all of them must call the same methods in the same order, with the same shapes."""

    def mine(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yield the jobs of this process; each job is that of one."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all processes."""
        ...

    def stacked(self, values: Tensor) -> Tensor:
        """Return the values (...) of all P processes, (P, ...)."""
        ...


class Everything:
    """The part of a process that is alone."""

    def mine(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yield all jobs."""
        yield from jobs

    def total(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values

    def stacked(self, values: Tensor) -> Tensor:
        """Return the values, (1, ...)."""
        return values[None]


ALONE: Share = Everything()
