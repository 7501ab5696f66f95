"""Training on the pictures of a task: which batches there are, and which states are forgotten."""

from pathlib import Path

import pytest
from support.tiny import make_task

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.samplers import ClassBalancedSampler, ShuffledSampler
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.params import TrainParams
from fieldmark.engine.training import clear_states, make_sampler


def test_batches_are_balanced_where_they_are_asked_to_be(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    subset = task.subset("train")
    plain = TrainParams(steps=1, batch_size=6, lr=0.1)
    assert isinstance(make_sampler(subset, plain, task.manifest), ShuffledSampler)
    balanced = plain.model_copy(update={"images_per_class": 2})
    assert isinstance(make_sampler(subset, balanced, task.manifest), ClassBalancedSampler)
    with pytest.raises(UserError, match=r"^train: .*the training split is empty$"):
        make_sampler(task.subset("val"), plain, task.manifest)


def test_classes_take_turns_whether_pictures_have_one_or_several(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    subset = task.subset("train")
    by_class = TrainParams(steps=1, batch_size=6, lr=0.1, sampling="class_aware")
    one = task.manifest.assign(labels=[[] for _ in range(len(task.manifest))])
    drawn = make_sampler(subset, by_class, one).batch(0)
    assert sorted(subset.labels[drawn].tolist()) == [0, 0, 1, 1, 2, 2]
    # "rare" is in one picture beside class 0, "often" in all but this one: each is drawn in every second place.
    labels = [["often"] if n else ["rare"] for n in range(len(task.manifest))]
    drawn = make_sampler(subset, by_class, task.manifest.assign(labels=labels)).batch(0)
    assert (drawn == 0).sum() == 3
    unlabelled = task.manifest.assign(
        labels=[[]] * len(subset) + [["rare"]] * (len(task.manifest) - len(subset))
    )
    with pytest.raises(UserError, match=r"^train: no training picture has a class"):
        make_sampler(subset, by_class, unlabelled)


def test_classes_that_take_turns_come_one_by_one() -> None:
    with pytest.raises(ValueError, match="set images_per_class to null"):
        TrainParams(steps=1, batch_size=6, lr=0.1, sampling="class_aware", images_per_class=2)


def test_the_states_of_a_method_are_forgotten_and_no_others(tmp_path: Path) -> None:
    runs = ["irt/R", "irt/L/shots-5", "irt-v2/R", "pretrain-irt", "frpt/R"]
    folders = {run: CheckpointFolder(tmp_path, run, "key") for run in runs}
    for folder in folders.values():
        folder.save({"step": 1})
    clear_states("irt", tmp_path)
    left = [run for run, folder in folders.items() if folder.load() is not None]
    assert left == ["irt-v2/R", "pretrain-irt", "frpt/R"]
    clear_states("never", tmp_path)
    clear_states("frpt/R", tmp_path)
    assert folders["irt-v2/R"].load() is not None
    assert folders["frpt/R"].load() is None
