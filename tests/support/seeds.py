"""Models and scores by their seed, as evaluations get them."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def of_one_seed(by_name: Mapping[str, T]) -> dict[str, list[T]]:
    """Return what every variant has from a single seed."""
    return {name: [one] for name, one in by_name.items()}
