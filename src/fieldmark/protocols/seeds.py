"""What holds for every protocol when a variant was trained from several seeds.

Evaluations hold the scores of a variant in the order of its seeds; what is made once has one, for every seed.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from fieldmark.results.schema import Measure

T = TypeVar("T")


def first_of(by_name: Mapping[str, Sequence[T]]) -> dict[str, T]:
    """Return what every variant has of its first seed, which figures show."""
    return {name: by_seed[0] for name, by_seed in by_name.items()}


def mean_over(values: Sequence[float]) -> float | Measure:
    """Return the mean of one value per seed, with these values; a single value as it is."""
    if len(values) == 1:
        return values[0]
    return Measure(value=sum(values) / len(values), seeds=tuple(values))


def seed_count(by_name: Mapping[str, Sequence[T]]) -> int:
    """Return from how many seeds the variants were trained."""
    return max(len(by_seed) for by_seed in by_name.values())


def resampling(what: str, seeds: int) -> str:
    """Say what the intervals resample, such as "classes", and what they tell of other seeds than these."""
    if seeds == 1:
        return f"Intervals resample {what} and tell nothing of other training seeds."
    return f"Values are means over {seeds} training seeds; intervals hold for other {what} and other seeds."
