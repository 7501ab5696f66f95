"""Pictures that look alike: a hash of 63 bits per picture, and the pairs whose hashes differ in a few of them.

The hash is that of the signs of low frequencies of a cosine transform ("pHash", Zauner, Implementation and
Benchmarking of Perceptual Image Hash Functions, 2010), against their median. It survives another size, another
encoding and a little more or less light, and knows no colour; so what it finds is compared in colour, too.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Hashes = NDArray[np.uint64]
Colours = NDArray[np.uint8]
Pairs = NDArray[np.int64]

SIDE, FREQUENCIES = 32, 8  # pixels of the small picture that is transformed, and frequencies per direction
BITS = FREQUENCIES**2 - 1  # the mean of the picture is left out
NEAR = 6  # bits that may differ between pictures that look alike
BANDS = NEAR + 1  # hashes that differ in NEAR bits agree in at least one of them
TONE = 10  # levels of 255 by which the colours of an 8 x 8 thumbnail may differ, on average
MOST = 1_000_000  # pairs that are kept


def small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) reduced to (32, 32, 3) by averaging."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))


def hashed(smalls: NDArray[np.uint8]) -> tuple[Hashes, Colours]:
    """Return the hashes (B,) of reduced pictures (B, 32, 32, 3), and their thumbnails (B, 8, 8, 3)."""
    grey = smalls.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    basis = _cosines()
    strength = (basis @ grey @ basis.T).reshape(len(grey), -1)[:, 1:]
    bits = strength > np.median(strength, axis=1, keepdims=True)
    weights = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
    step = SIDE // 8
    thumbnails = smalls.reshape(len(smalls), 8, step, 8, step, 3).mean(axis=(2, 4), dtype=np.float32)
    return np.where(bits, weights, np.uint64(0)).sum(axis=1, dtype=np.uint64), thumbnails.astype(np.uint8)


def alike(hashes: Hashes, colours: Colours) -> Pairs:
    """Return pairs (P, 2) of rows that look alike, each once, the smaller row first, in order.

    Of rows with one hash each is compared with the first of them alone, and only that one with other hashes: ten
    equal pictures make nine pairs. Memory is a multiple of the rows and of the pairs; at most a million are kept.
    """
    unique, first, of_row = np.unique(hashes, return_index=True, return_inverse=True)
    rows = np.arange(len(hashes))
    same = np.stack([first[of_row], rows], axis=1)[first[of_row] != rows]
    found, count = [_in_tone(same, colours)], 0
    for places in _near(unique):
        pairs = _in_tone(first[places], colours)
        found.append(pairs)
        count += len(pairs)
        if count > MOST:
            break
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)[:MOST]


def _near(hashes: Hashes) -> Iterator[Pairs]:
    """Yield pairs (P, 2) of places of distinct hashes that differ in at most NEAR bits; a pair may come twice.

    Places are sorted by each band of bits in turn, and compared with the next one of the same band, the one after
    it, and so on, all places at once.
    """
    width = BITS // BANDS
    for band in range(BANDS):
        key = (hashes >> np.uint64(band * width)) & np.uint64((1 << width) - 1)
        order = np.argsort(key, kind="stable")
        ends = np.searchsorted(key[order], key[order], side="right")
        start, step = np.arange(len(order)), 1
        while len(start := start[start + step < ends[start]]):
            left, right = order[start], order[start + step]
            close = np.bitwise_count(hashes[left] ^ hashes[right]) <= NEAR
            if close.any():
                yield np.stack([left[close], right[close]], axis=1)
            step += 1


def _in_tone(pairs: Pairs, colours: Colours, block: int = 65_536) -> Pairs:
    """Return the pairs whose thumbnails have nearly the same colours."""
    kept = [np.empty((0, 2), dtype=np.int64)]
    for begin in range(0, len(pairs), block):
        part = pairs[begin : begin + block]
        apart = np.abs(colours[part[:, 0]].astype(np.int16) - colours[part[:, 1]])
        kept.append(part[apart.mean(axis=(1, 2, 3)) <= TONE])
    return np.concatenate(kept)


def _cosines() -> NDArray[np.float32]:
    """Return the first frequencies of the orthogonal cosine transform of 32 values, (8, 32)."""
    place = (2 * np.arange(SIDE) + 1) * np.pi / (2 * SIDE)
    return np.cos(np.arange(FREQUENCIES)[:, None] * place).astype(np.float32)
