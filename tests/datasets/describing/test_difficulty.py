"""The yardsticks of difficulty against slow references, and the world against the yardsticks."""

import io

import numpy as np
import pytest
from PIL import Image

from fieldmark.datasets.describing import difficulty
from fieldmark.datasets.describing.difficulty import (
    colour_histograms,
    measure_difficulty,
    nearest_recall,
    pixel_features,
)
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.datasets.world.base import make_kinds
from fieldmark.datasets.world.render import render_all


def slow_recall(features, labels, closeness):
    hits = 0
    for i, row in enumerate(features):
        others = [(closeness(row, other), -j) for j, other in enumerate(features) if j != i]
        hits += labels[-max(others)[1]] == labels[i]
    return hits / len(features)


@pytest.mark.parametrize("count", [2, 3, 16, 45])
def test_nearest_recall_equals_a_loop(count, monkeypatch):
    monkeypatch.setattr(difficulty, "BLOCK", 16)
    rng = np.random.default_rng(count)
    features = rng.integers(0, 50, (count, 4)).astype(np.float32)
    labels = rng.integers(0, 3, count)
    assert nearest_recall(features, labels) == slow_recall(
        features, labels, lambda a, b: -float(((a.astype(float) - b) ** 2).sum())
    )
    assert nearest_recall(features, labels, "intersection") == slow_recall(
        features, labels, lambda a, b: float(np.minimum(a, b).sum())
    )


def test_nearest_recall_of_twins_is_one_and_of_loners_zero():
    features = np.array([[0], [0], [9], [9]], dtype=np.float32)
    assert nearest_recall(features, np.array([0, 0, 1, 1])) == 1
    assert nearest_recall(features, np.array([0, 1, 2, 3])) == 0


def test_nearest_recall_needs_two_rows():
    with pytest.raises(ValueError, match="two rows"):
        nearest_recall(np.zeros((1, 2), np.float32), np.zeros(1, np.int64))


def test_histogram_counts_pixels_by_hand():
    picture = Image.new("RGB", (2, 2), (255, 0, 0))
    picture.putpixel((0, 0), (0, 0, 255))
    row = colour_histograms([picture], bins=2)[0]
    assert row.tolist() == [0, 0.25, 0, 0, 0.75, 0, 0, 0]


def test_pixel_features_average_blocks():
    picture = Image.new("RGB", (4, 4), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 2, 4))
    assert pixel_features([picture], side=2)[0].reshape(2, 2, 3)[:, :, 0].tolist() == [[1, 0], [1, 0]]


def test_species_are_not_told_apart_by_pixels_or_colours():
    kinds = make_kinds("species", 0, 24, 6)
    records = [
        Specimen(Image.open(io.BytesIO(shot.image)).convert("RGB"), kinds[c].name, kinds[c].group)
        for c, _, shot in render_all(kinds, "0/species", 10, 32, 1, 1)
    ]
    found = measure_difficulty(records)
    assert found["chance_class"] == pytest.approx(9 / 239)
    assert found["chance_group"] == pytest.approx(39 / 239)
    assert found["pixels_class"] < 0.15
    assert found["colours_class"] < 0.25
