"""Fixed views: a view is a function of picture and number, the choice one of seed, step and place."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task
from torch import Tensor

from fieldmark.datasets.data.batches.loading import Slice, TrainingSlices, loader
from fieldmark.datasets.data.batches.samplers import ShuffledSampler
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.batches.views import EveryView, ViewDataset
from fieldmark.engine.task import Task

VIEWS = 3


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return make_task(tmp_path)


def views_of(task: Task, seed: int = 5, skip: int = 0, views: int = VIEWS) -> ViewDataset:
    subset = task.subset("train")
    transform = training_transform(ImageParams(side=SIDE, jitter=0.3, erase=0.5))
    return ViewDataset(task.store, subset.rows[skip:], subset.labels[skip:], transform, seed, views)


def table(dataset: ViewDataset) -> Tensor:
    """Return every view of every picture, (N, V, 3, side, side)."""
    every = EveryView.of(dataset)
    images = every[Slice(0, 0, tuple(range(len(every))))]["images"]
    return images.unflatten(0, (len(dataset), dataset.views))


def test_a_step_sees_one_of_the_views(task: Task) -> None:
    dataset = views_of(task)
    views = table(dataset)
    assert len(torch.unique(views.flatten(0, 1), dim=0)) == len(dataset) * VIEWS
    for step in range(3):
        part = Slice(step, 6, (4, 9, 4, 0))
        batch = dataset[part]
        chosen = [dataset.view_of(part, place) for place in range(4)]
        expected = torch.stack([views[i, v] for i, v in zip(part.indices, chosen, strict=True)])
        assert torch.equal(batch["images"], expected)
        assert batch["indices"].tolist() == [4, 9, 4, 0]
        assert batch["labels"].tolist() == dataset.labels[[4, 9, 4, 0]].tolist()


def test_a_view_depends_on_its_picture_and_number_alone(task: Task) -> None:
    views = table(views_of(task))
    assert torch.equal(views, table(views_of(task, seed=6)))
    assert torch.equal(views[2:], table(views_of(task, skip=2)))
    assert torch.equal(views[:, :2], table(views_of(task, views=2)))


def test_the_choice_depends_on_seed_step_and_place_in_the_global_batch(task: Task) -> None:
    dataset, other = views_of(task), views_of(task, seed=6)
    whole = [dataset.view_of(Slice(2, 0, tuple(range(18))), place) for place in range(18)]
    second = [dataset.view_of(Slice(2, 9, tuple(range(9))), place) for place in range(9)]
    assert second == whole[9:]
    assert whole != [dataset.view_of(Slice(3, 0, tuple(range(18))), place) for place in range(18)]
    assert whole != [other.view_of(Slice(2, 0, tuple(range(18))), place) for place in range(18)]


def test_all_views_are_taken_equally_often(task: Task) -> None:
    dataset = views_of(task)
    counts = Counter(
        dataset.view_of(Slice(step, 0, (0,) * 6), place) for step in range(500) for place in range(6)
    )
    assert sorted(counts) == list(range(VIEWS))
    assert min(counts.values()) > 900  # of 3000 / 3; binomial with a standard deviation of 26


def test_resuming_and_workers_take_the_same_views(task: Task) -> None:
    sampler = ShuffledSampler(18, 6, 0)
    whole = list(loader(views_of(task), TrainingSlices(sampler, 0, 6), 0))
    later = list(loader(views_of(task), TrainingSlices(sampler, 3, 6), 2))
    for a, b in zip(whole[3:], later, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
