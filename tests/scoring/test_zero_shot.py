"""What class texts are worth without training."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from support.classes import class_manifest

from fieldmark.scoring.zero_shot import zero_shot


def test_one_class_a_picture_is_scored_by_the_nearest_text():
    texts = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    pictures = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.8, 0.6]])
    measures = zero_shot(pictures, texts, ["a", "b", "c"], class_manifest(["a", "b", "c"]))
    assert measures["zero-shot top1"].value == pytest.approx(2 / 3)
    assert measures["chance"] == pytest.approx(1 / 3)


def test_pictures_with_several_labels_are_scored_by_average_precision():
    """Against scikit-learn's average precision of the cosines, class by class."""
    rng = np.random.default_rng(0)
    pictures, texts = torch.tensor(rng.normal(size=(30, 4))), torch.tensor(rng.normal(size=(3, 4)))
    labels = [[name for name in "abc" if rng.random() < 0.4] for _ in range(30)]
    table = class_manifest([None] * 30, labels)
    table["id"] = [f"p{n}" for n in range(30)]
    unit = [rows / rows.norm(dim=1, keepdim=True) for rows in (pictures, texts)]
    scores = (unit[0] @ unit[1].T).numpy()
    truth = np.array([[name in names for name in "abc"] for names in labels])
    expected = np.mean([average_precision_score(truth[:, c], scores[:, c]) for c in range(3)])
    measures = zero_shot(pictures, texts, ["a", "b", "c"], table)
    assert measures["zero-shot map"].value == pytest.approx(expected)
    assert measures["chance"] == pytest.approx(truth.mean())
