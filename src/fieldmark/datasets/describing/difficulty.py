"""How well nearest neighbours by raw pixels and by colour do: a model that does not understand a picture at all.

The default world is tuned so that they do badly; the report shows them beside the networks.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.datasets.describing.specimens import Specimen

Features = NDArray[np.float32]
BLOCK = 512


def pixel_features(pictures: Iterable[Image.Image], side: int = 16) -> Features:
    """Return the pictures (RGB) reduced to side x side pixels, one row each: (n, 3 * side * side) in [0, 1]."""
    small = [np.asarray(p.resize((side, side), Image.Resampling.BOX)).ravel() for p in pictures]
    return np.stack(small).astype(np.float32) / np.float32(255)


def colour_histograms(pictures: Iterable[Image.Image], bins: int = 8) -> Features:
    """Return joint RGB histograms, one row each that sums to 1: (n, bins ** 3)."""
    rows = []
    for picture in pictures:
        level = np.asarray(picture).reshape(-1, 3).astype(np.int64) * bins // 256
        index = (level[:, 0] * bins + level[:, 1]) * bins + level[:, 2]
        rows.append(np.bincount(index, minlength=bins**3) / len(index))
    return np.stack(rows).astype(np.float32)


def nearest_recall(features: Features, labels: NDArray[np.int64], metric: str = "euclidean") -> float:
    """Return the fraction of rows whose nearest other row (leave-one-out) has their label.

    `features` is (n, d), `labels` (n,); `metric` is euclidean, or intersection for histograms. The first of
    equally near rows counts. Raises ValueError when there are fewer than two rows.
    """
    count = len(features)
    if count < 2:
        raise ValueError("nearest_recall needs at least two rows")
    hits = 0
    for start, near in _blocks(features, metric):
        hits += int((labels[near.argmax(axis=1)] == labels[start : start + len(near)]).sum())
    return hits / count


def neighbour_votes(
    features: Features, targets: NDArray[np.float32], neighbours: int = 10, metric: str = "euclidean"
) -> NDArray[np.float32]:
    """Return for each row the mean of the targets (n, c) of its nearest other rows, (n, c).

    `features` is (n, d), `metric` as in `nearest_recall`. Raises ValueError for fewer than two rows.
    """
    if len(features) < 2:
        raise ValueError("neighbour_votes needs at least two rows")
    votes = np.empty_like(targets)
    for start, near in _blocks(features, metric):
        order = np.argsort(-near, axis=1, kind="stable")[:, : min(neighbours, len(features) - 1)]
        votes[start : start + len(near)] = targets[order].mean(axis=1)
    return votes


def _blocks(features: Features, metric: str) -> Iterator[tuple[int, Features]]:
    """Yield blocks of rows: the index of the first one, and how near each is to all rows, (b, n), -inf to itself."""
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK]
        near = _intersection(block, features) if metric == "intersection" else _closeness(block, features)
        near[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        yield start, near


def _closeness(block: Features, every: Features) -> Features:
    """Return the negated squared distances up to a constant per row."""
    result: Features = 2 * block @ every.T - (every * every).sum(axis=1)
    return result


def _intersection(block: Features, every: Features) -> Features:
    return np.stack([np.minimum(row, every).sum(axis=1) for row in block])


def measure_difficulty(specimens: Iterable[Specimen]) -> dict[str, float]:
    """Return recall@1 of raw pixels and colour histograms, for classes and for groups, and the chance levels."""
    pictures, classes, groups, _ = zip(*specimens, strict=True)
    pixels, colours = pixel_features(pictures), colour_histograms(pictures)
    result: dict[str, float] = {}
    for name, words in (("class", classes), ("group", groups)):
        _, labels, counts = np.unique(words, return_inverse=True, return_counts=True)
        result[f"pixels_{name}"] = nearest_recall(pixels, labels)
        result[f"colours_{name}"] = nearest_recall(colours, labels, "intersection")
        result[f"chance_{name}"] = float((counts * (counts - 1)).sum() / (len(words) * (len(words) - 1)))
    return result
