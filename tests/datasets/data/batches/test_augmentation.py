"""Cutout and random operations: what is covered, how much, and that the seed decides."""

import numpy as np
import pytest
import torch

from fieldmark.datasets.data.batches.transforms import Cutout, ImageParams, training_transform


def covered(height: int, width: int, fraction: float, seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    picture = torch.full((3, height, width), 256, dtype=torch.int16)  # no colour of eight bits
    drawn = Cutout(fraction)(picture)
    assert (picture == 256).all()
    return (drawn != 256).any(0).numpy()


def test_one_rectangle_of_one_colour_is_covered_and_clipped_at_the_edge() -> None:
    places = np.zeros((20, 30), int)
    for seed in range(300):
        mask = covered(20, 30, 0.5, seed)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns)  # a rectangle
        assert 5 <= len(rows) <= 11
        assert 7 <= len(columns) <= 16
        if rows[0] > 0 and rows[-1] < 19:
            assert len(rows) == 10
        places += mask
    assert places.min() > 0
    assert places[10, 15] > places[0, 0]  # the middle is within reach of more centres


def test_the_colour_is_random_and_the_same_over_the_rectangle() -> None:
    colours = set()
    for seed in range(5):
        torch.manual_seed(seed)
        out = Cutout(1.0)(torch.zeros(3, 8, 8, dtype=torch.uint8)).flatten(1)
        shown = {tuple(pixel) for pixel in out.T.tolist()} - {(0, 0, 0)}
        assert len(shown) == 1
        colours |= shown
    assert len(colours) == 5


@pytest.mark.parametrize("shape", [(3, 40, 60), (3, 1, 1)])
def test_random_operations_keep_kind_and_size_and_follow_the_seed(shape: tuple[int, int, int]) -> None:
    params = ImageParams(side=32, crop="centre", flip=False, cutout=0.5, augment=2)
    transform = training_transform(params)
    picture = torch.randint(0, 256, shape, dtype=torch.uint8)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        out: torch.Tensor = transform(picture)
        return out

    results = [drawn(seed) for seed in range(12)]
    assert {(tuple(one.shape), one.dtype) for one in results} == {((3, 32, 32), torch.uint8)}
    assert all(torch.equal(one, drawn(seed)) for seed, one in enumerate(results))
    if shape[1] > 1:
        assert len({one.numpy().tobytes() for one in results}) > 6


def test_without_them_nothing_is_drawn() -> None:
    plain = training_transform(ImageParams(side=32, crop="centre", flip=False))
    assert [type(step).__name__ for step in plain.transforms] == ["Resize", "CenterCrop"]
