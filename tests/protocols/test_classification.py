"""What every classifier's evaluation shares: accuracy, groups and the choice of pictures, counted by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.tiny import make_task

from fieldmark.engine.task import Subset, Task
from fieldmark.protocols.classification import (
    Classified,
    class_groups,
    counted,
    detailed,
    evenly_by_probability,
    measured,
    top_difference,
)

NAMES = ["wren", "robin", "tit"]
PROBABILITIES = [[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]
LABELS = [0, 0, 1, 2]


def classified(groups: tuple[str, ...] = ("small", "small", "other")) -> Classified:
    """Four pictures of three classes: right, wrong but of the right group, wrong, and right."""
    frame = pd.DataFrame({"label": LABELS, "class_name": [NAMES[label] for label in LABELS]})
    return Classified(Subset(frame), NAMES, np.array(groups), torch.tensor(PROBABILITIES).log())


def test_a_picture_is_right_by_class_and_by_group() -> None:
    scored = classified()
    assert scored.guesses.tolist() == [0, 1, 2, 2]
    assert scored.right().tolist() == [True, False, False, True]
    assert scored.right(2).tolist() == [True, True, True, True]
    assert scored.group_right.tolist() == [True, True, False, True]
    np.testing.assert_allclose(scored.true_probabilities, [0.7, 0.4, 0.3, 0.8], rtol=1e-6)


def test_measures_are_means_over_pictures() -> None:
    measures = measured([classified()])
    assert measures["top1"].value == 0.5
    assert measures["top5"].value == 1.0
    assert measures["group"].value == 0.75
    assert measures["log_loss"] == pytest.approx(-np.log([0.7, 0.4, 0.3, 0.8]).mean(), rel=1e-6)
    # Each confidence (0.7, 0.5, 0.5, 0.8) lies in a bin of its own but for the two of 0.5, both wrong.
    assert measures["calibration_error"] == pytest.approx((0.3 + 2 * 0.5 + 0.2) / 4, rel=1e-6)


def test_classes_without_common_groups_have_no_measure_of_groups() -> None:
    scored = classified(("a", "b", "c"))
    assert not scored.has_groups
    assert "group" not in measured([scored])
    assert scored.headline == ("top1", "top5", "calibration_error")
    assert classified().headline == ("top1", "top5", "group", "calibration_error")


def test_parts_are_listed_by_name_with_their_pictures() -> None:
    scored = classified()
    parts = detailed([scored], scored.picture_classes)
    assert [(name, part["value"], part["pictures"]) for name, part in parts.items()] == [
        ("robin", 0.0, 1),
        ("tit", 1.0, 1),
        ("wren", 0.5, 2),
    ]
    groups = detailed([scored], scored.picture_groups)
    assert {name: part["pictures"] for name, part in groups.items()} == {"other": 1, "small": 3}


def test_a_difference_is_paired_by_picture() -> None:
    first, second = classified(), replace(classified(), logits=torch.eye(3)[LABELS])
    difference = top_difference([second], [first])
    assert difference.value == 0.5
    assert top_difference([first], [first]).high == 0.0
    assert top_difference([second], [first], k=2).value == 0.0


def test_pictures_are_chosen_from_the_least_to_the_most_probable() -> None:
    assert evenly_by_probability(classified(), 4) == [2, 1, 0, 3]
    assert evenly_by_probability(classified(), 2) == [1, 3]
    assert evenly_by_probability(classified(), 9) == [2, 1, 0, 3]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Three classes; the first two are of one genus, the third of none."""
    made = make_task(tmp_path)
    genera = {"class 0": "genus", "class 1": "genus"}
    manifest = made.manifest.assign(group=made.manifest["class_name"].map(genera).astype(object))
    manifest["group"] = manifest["group"].where(manifest["group"].notna(), None)
    return replace(made, manifest=manifest)


def test_a_class_without_a_group_is_its_own(task: Task) -> None:
    assert class_groups(task).tolist() == ["genus", "genus", "class 2"]


def test_counts_are_those_of_the_split(task: Task) -> None:
    assert counted(classified(), task) == {
        "test pictures": 4,
        "training pictures": 18,
        "classes": 3,
        "groups": 2,
    }
    assert "groups" not in counted(classified(("a", "b", "c")), task)
