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
    assert isinstance(make_sampler(subset, plain), ShuffledSampler)
    balanced = plain.model_copy(update={"images_per_class": 2})
    assert isinstance(make_sampler(subset, balanced), ClassBalancedSampler)
    with pytest.raises(UserError, match=r"^train: .*the training split is empty$"):
        make_sampler(task.subset("val"), plain)


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
