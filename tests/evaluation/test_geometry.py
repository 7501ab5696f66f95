"""Energy of principal components and similarity histograms against scikit-learn and loops."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from fieldmark.evaluation import geometry
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.geometry import (
    components_difference,
    components_for,
    principal_energy,
    similarity_histograms,
)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_energy_equals_scikit_learn():
    rows = np.random.default_rng(0).normal(size=(50, 8)) * np.arange(1, 9)
    expected = PCA().fit(unit(rows)).explained_variance_ratio_.cumsum()
    np.testing.assert_allclose(principal_energy(torch.tensor(rows)), expected, atol=1e-12)


def test_energy_of_known_shapes():
    plane = np.zeros((64, 5))
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    plane[:, 1], plane[:, 3] = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(principal_energy(plane), [0.5, 1, 1, 1, 1], atol=1e-12)
    assert components_for(principal_energy(plane)) == 2
    assert components_for(principal_energy(plane), 0.5) == 1
    np.testing.assert_allclose(principal_energy(np.eye(3)), [0.5, 1, 1], atol=1e-12)


@pytest.mark.parametrize("rows", [np.full((20, 4), 0.3), np.ones((1, 4)), np.zeros((3, 4)), np.zeros((0, 4))])
def test_energy_of_collapsed_embeddings_is_defined(rows):
    assert principal_energy(rows).tolist() == [1, 1, 1, 1]
    assert components_for(principal_energy(rows)) == 1


def test_more_dimensions_than_rows():
    energy = principal_energy(np.random.default_rng(0).normal(size=(5, 30)))
    assert energy[3] == pytest.approx(1)
    assert energy[2] < 1


def test_energy_refuses_nan_and_fractions_out_of_range():
    with pytest.raises(ValueError, match="row 1"):
        principal_energy(np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(ValueError, match="fraction of energy"):
        components_for(np.array([0.5, 1.0]), 1.5)


def slow_counts(rows, labels, bins):
    counts = np.zeros((2, bins), dtype=int)
    for i in range(len(rows)):
        for j in range(i):
            position = min(int((rows[i] @ rows[j] + 1) / 2 * bins), bins - 1)
            counts[int(labels[i] != labels[j]), position] += 1
    return counts


def test_histograms_equal_a_loop_in_any_block_size(monkeypatch):
    rng = np.random.default_rng(1)
    rows, labels = rng.normal(size=(31, 4)), rng.integers(5, size=31)
    expected = slow_counts(unit(rows), labels, 20)
    for elements in (2**22, 100):
        monkeypatch.setattr(geometry, "BLOCK_ELEMENTS", elements)
        found = similarity_histograms(rows, labels, bins=20)
        np.testing.assert_array_equal(np.stack([found.positive, found.negative]), expected)
    assert found.edges.shape == (21,)


def test_histograms_of_query_and_gallery_count_every_pair():
    rng = np.random.default_rng(2)
    found = similarity_histograms(
        rng.normal(size=(6, 3)), [0] * 6, rng.normal(size=(9, 3)), [0] * 4 + [1] * 5
    )
    assert (found.positive.sum(), found.negative.sum()) == (24, 30)


def test_overlap_from_parted_to_alike():
    parted = similarity_histograms([[1.0, 0], [1.0, 0], [-1.0, 0], [-1.0, 0]], [0, 0, 1, 1])
    assert parted.overlap == 0
    assert similarity_histograms(np.ones((6, 2)), [0, 0, 0, 1, 1, 1]).overlap == pytest.approx(1)
    assert similarity_histograms(np.ones((3, 2)), [0, 1, 2]).overlap == 0
    assert similarity_histograms(np.zeros((0, 2)), []).overlap == 0


def simulated_pair(seed):
    """Two embeddings of 30 random classes, of which the first uses 12 directions and the second 6."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(30), 5)
    embeddings = []
    for used in (12, 6):
        spread = np.where(np.arange(16) < used, 1.0, 0.2)
        embeddings.append(rng.normal(size=(30, 16))[clusters] * spread + rng.normal(size=(150, 16)) * 0.1)
    return *embeddings, clusters


def simulated(seed):
    """The same as of a single training seed."""
    first, second, clusters = simulated_pair(seed)
    return [first], [second], clusters


def test_components_difference_covers_what_repeated_sampling_gives():
    found = [components_difference(*simulated(seed)) for seed in range(40)]
    values = np.array([one.value for one in found])
    half_widths = np.array([(one.high - one.low) / 2 for one in found])
    assert 0.7 < half_widths.mean() / (1.96 * values.std()) < 2.5
    assert np.mean([one.low <= np.median(values) <= one.high for one in found]) > 0.8


def test_components_difference_leaves_each_group_out_in_turn():
    first, second, clusters = simulated_pair(1)
    counts = []
    for group in range(30):
        energies = [principal_energy(one[clusters != group]) for one in (first, second)]
        counts.append([np.interp(0.9, [0, *energy], range(17)) for energy in energies])
    left, right = np.array(counts).T
    half = 1.959964 * np.sqrt(29 / 30 * np.sum((left - right - (left - right).mean()) ** 2))
    found = components_difference([first], [second], clusters)
    assert found.high - found.value == pytest.approx(half)
    assert found.value - found.low == pytest.approx(half)


def test_components_difference_of_equal_embeddings_is_zero():
    first, _, clusters = simulated_pair(0)
    assert components_difference([first], [first], clusters) == Interval(0, 0, 0)


def test_components_difference_refuses_other_pictures():
    first, second, clusters = simulated_pair(0)
    with pytest.raises(ValueError, match="same pictures"):
        components_difference([first], [second[:4]], clusters)
    with pytest.raises(ValueError, match="two clusters"):
        components_difference([first], [second], np.zeros(150))
