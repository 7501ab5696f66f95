"""The hash is that of a slow cosine transform, and the pairs are those of comparing every picture with every other."""

import io

import numpy as np
import pytest
from PIL import Image

from fieldmark.datasets.describing import hashing
from fieldmark.datasets.describing.hashing import BITS, NEAR, TONE, alike, hashed, small


def picture(seed: int, side: int = 96) -> np.ndarray:
    """A smooth picture, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def described(pictures: list) -> tuple:
    return hashed(np.stack([small(one) for one in pictures]))


def slowly(pixels: np.ndarray) -> int:
    grey = small(pixels) @ np.array([0.299, 0.587, 0.114])
    strengths = []
    for v in range(8):
        for u in range(8):
            cosines = [
                [
                    np.cos((2 * y + 1) * v * np.pi / 64) * np.cos((2 * x + 1) * u * np.pi / 64)
                    for x in range(32)
                ]
                for y in range(32)
            ]
            strengths.append((grey * np.array(cosines)).sum())
    bits = np.array(strengths[1:]) > np.median(strengths[1:])
    return sum(1 << place for place, bit in enumerate(bits) if bit)


def test_hash_is_that_of_the_formula() -> None:
    pictures = [picture(seed) for seed in range(3)]
    assert described(pictures)[0].tolist() == [slowly(one) for one in pictures]


def test_thumbnail_is_the_mean_of_four_by_four() -> None:
    reduced = small(picture(0))
    expected = np.array(
        [[reduced[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean((0, 1)) for x in range(8)] for y in range(8)]
    )
    assert np.abs(hashed(reduced[None])[1][0] - expected).max() <= 1


def test_pairs_are_those_of_comparing_all_with_all() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << BITS, 60, dtype=np.uint64)
    for row in range(30):  # some within reach, some just beyond
        hashes[30 + row] = hashes[row]
        for bit in rng.choice(BITS, row % (NEAR + 4), replace=False):
            hashes[30 + row] ^= np.uint64(1) << np.uint64(bit)
    colours = np.zeros((60, 8, 8, 3), np.uint8)
    found = {tuple(pair) for pair in alike(hashes, colours).tolist()}
    assert found == every(hashes)


def every(hashes: np.ndarray) -> set:
    values = [int(value) for value in hashes]
    return {
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= NEAR
    }


@pytest.mark.parametrize("bits", range(NEAR + 3))
def test_distance_decides(bits: int) -> None:
    rng = np.random.default_rng(bits)
    hashes = np.array([rng.integers(0, 1 << BITS)] * 2, dtype=np.uint64)
    for bit in rng.choice(BITS, bits, replace=False):
        hashes[1] ^= np.uint64(1) << np.uint64(bit)
    assert len(alike(hashes, np.zeros((2, 8, 8, 3), np.uint8))) == (bits <= NEAR)


def test_equal_hashes_are_compared_with_the_first() -> None:
    colours = np.zeros((4, 8, 8, 3), np.uint8)
    assert alike(np.full(4, 5, np.uint64), colours).tolist() == [[0, 1], [0, 2], [0, 3]]


def test_other_colours_are_no_likeness() -> None:
    colours = np.zeros((2, 8, 8, 3), np.uint8)
    colours[1] = TONE
    assert len(alike(np.zeros(2, np.uint64), colours)) == 1
    colours[1] = TONE + 1
    assert len(alike(np.zeros(2, np.uint64), colours)) == 0


def test_another_size_and_encoding_look_alike_and_other_pictures_do_not() -> None:
    first = picture(0, 128)
    stream = io.BytesIO()
    Image.fromarray(first).save(stream, "JPEG", quality=40)
    smaller = np.asarray(Image.fromarray(first).resize((70, 70), Image.Resampling.BICUBIC))
    brighter = (first.astype(int) + 8).clip(0, 255).astype(np.uint8)
    copies = [first, np.asarray(Image.open(stream)), smaller, brighter]
    found = alike(*described([*copies, *map(picture, range(1, 60))]))
    assert set(found.ravel().tolist()) == {0, 1, 2, 3}
    assert len(found) >= 3


@pytest.mark.parametrize("count", [0, 1])
def test_of_too_few_nothing_is_found(count: int) -> None:
    assert alike(np.zeros(count, np.uint64), np.zeros((count, 8, 8, 3), np.uint8)).shape == (0, 2)


def test_no_more_than_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "MOST", 10)
    hashes = np.array([1 << bit for bit in range(BITS)], np.uint64)  # every two differ in two bits
    assert len(alike(hashes, np.zeros((BITS, 8, 8, 3), np.uint8))) == 10
