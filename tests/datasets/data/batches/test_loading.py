"""Samplers and the loader: batch n is a function of seed and n."""

import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIDE, make_task

from fieldmark.datasets.data.batches import loading
from fieldmark.datasets.data.batches.loading import (
    PictureDataset,
    Slice,
    TrainingSlices,
    loader,
    mix,
    sequential_slices,
)
from fieldmark.datasets.data.batches.samplers import (
    ClassAwareSampler,
    ClassBalancedSampler,
    ShuffledSampler,
)
from fieldmark.datasets.data.batches.transforms import ImageParams, evaluation_transform, training_transform


def test_balanced_batches_hold_k_of_each_class() -> None:
    labels = np.repeat(np.arange(7), [5, 9, 4, 4, 6, 8, 2])
    sampler = ClassBalancedSampler(labels, 12, 4, seed=3)
    seen = set()
    for step in range(20):
        batch = sampler.batch(step)
        classes, counts = np.unique(labels[batch], return_counts=True)
        assert (counts % 4 == 0).all()
        assert len(batch) == 12
        seen |= set(classes.tolist())
        for label in classes:
            members = batch[labels[batch] == label]
            if counts[classes == label] == 4 and label != 6:
                assert len(set(members.tolist())) == 4
    assert seen == set(range(7))


def test_classes_come_equally_often() -> None:
    labels = np.repeat(np.arange(6), 5)
    sampler = ClassBalancedSampler(labels, 4, 2, seed=0)
    drawn = np.concatenate([labels[sampler.batch(step)] for step in range(30)])
    assert np.bincount(drawn).tolist() == [20] * 6


def test_classes_and_their_pictures_take_turns_where_pictures_have_several() -> None:
    members = [[0, 1, 2, 3, 4, 5, 6, 7], [0, 9], [3], [], [1, 2, 9]]
    present = [of_class for of_class in members if of_class]
    sampler = ClassAwareSampler([np.array(of_class, np.int64) for of_class in members], 6, seed=4)
    drawn = np.concatenate([sampler.batch(step) for step in range(16)]).tolist()  # 24 rounds of four classes
    rounds = [drawn[4 * n : 4 * n + 4] for n in range(24)]
    for of_round in rounds:  # some order of the four classes explains it
        assert any(
            all(picture in present[c] for picture, c in zip(of_round, order, strict=True))
            for order in permutations(range(4))
        )
    counts = np.bincount(drawn, minlength=10).tolist()
    # 24 turns of a class are three rounds of its eight pictures, twelve of its two, and so on; a picture of two
    # classes is drawn for both.
    expected = [sum(24 // len(of_class) for of_class in present if n in of_class) for n in range(10)]
    assert counts == expected
    assert counts[8] == 0  # it has no class
    assert rounds[0] != rounds[1]


def test_batches_do_not_depend_on_what_was_asked_before() -> None:
    labels = np.arange(50) % 5
    members = [np.flatnonzero(labels == label) for label in range(5)]
    for make in (
        lambda: ShuffledSampler(50, 8, 1),
        lambda: ClassBalancedSampler(labels, 8, 2, 1),
        lambda: ClassAwareSampler(members, 8, 1),
    ):
        forward, backward = make(), make()
        batches = [forward.batch(n).tolist() for n in range(15)]
        assert [backward.batch(n).tolist() for n in reversed(range(15))] == batches[::-1]


def test_wrong_requests() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        ClassBalancedSampler(np.zeros(4, np.int64), 5, 2, 0)
    with pytest.raises(ValueError, match="empty"):
        ShuffledSampler(0, 5, 0)
    with pytest.raises(ValueError, match="no training picture has a class"):
        ClassAwareSampler([np.array([], np.int64)], 5, 0)
    with pytest.raises(ValueError, match="cannot be cut"):
        TrainingSlices(ShuffledSampler(10, 5, 0), 0, 1, world_size=2)


def test_processes_share_a_global_batch() -> None:
    sampler = ShuffledSampler(20, 8, 0)
    one = [i for part in TrainingSlices(sampler, 2, 5) for i in part.indices]
    two = [list(TrainingSlices(sampler, 2, 5, rank, 2)) for rank in range(2)]
    together = [i for a, b in zip(*two, strict=True) for i in (*a.indices, *b.indices)]
    assert together == one


def dataset(task, seed: int = 5, jitter: float = 0.3) -> PictureDataset:  # type: ignore[no-untyped-def]
    subset = task.subset("train")
    transform = training_transform(ImageParams(side=SIDE, jitter=jitter, erase=0.5))
    return PictureDataset(task.store, subset.rows, subset.labels, transform, seed)


def test_resuming_and_workers_draw_the_same_pixels(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    sampler = ShuffledSampler(18, 6, 0)
    whole = list(loader(dataset(task), TrainingSlices(sampler, 0, 6), 0))
    later = list(loader(dataset(task), TrainingSlices(sampler, 3, 6), 2))
    for a, b in zip(whole[3:], later, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    other = list(loader(dataset(task, seed=6), TrainingSlices(sampler, 0, 1), 0))
    assert not torch.equal(other[0]["images"], whole[0]["images"])


def test_a_picture_is_what_the_transform_draws_from_its_seed(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    subset = task.subset("train")
    transform = training_transform(ImageParams(side=SIDE, jitter=0.3, erase=0.5))
    dataset = PictureDataset(task.store, subset.rows, subset.labels, transform, 5)
    drawn = dataset[Slice(step=3, first=4, indices=(7, 2))]["images"]
    for place, index in enumerate((7, 2)):
        torch.manual_seed(mix(5, 3, 4 + place))
        picture = torch.from_numpy(task.store[int(subset.rows[index])].copy()).permute(2, 0, 1)
        assert torch.equal(drawn[place], transform(picture))


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    dataset(task)[sequential_slices(18, 6)[0]]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_picture_twice_in_a_batch_is_augmented_differently(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    slices = sequential_slices(2, 2)
    batch = dataset(task)[type(slices[0])(0, 0, (3, 3))]
    assert not torch.equal(batch["images"][0], batch["images"][1])


def test_evaluation_visits_everything_once_in_order() -> None:
    visited = [i for part in sequential_slices(11, 4) for i in part.indices]
    assert visited == list(range(11))
    assert sequential_slices(0, 4) == []


@pytest.mark.parametrize("shape", ["square", "shorter_side"])
@pytest.mark.parametrize("crop", ["random", "random_resized", "centre"])
def test_transforms_give_the_size_for_any_picture(shape: str, crop: str) -> None:
    params = ImageParams(side=24, resize=32, shape=shape, crop=crop)
    for height, width in ((32, 32), (20, 90), (1, 1), (300, 40)):
        picture = torch.zeros(3, height, width, dtype=torch.uint8)
        for transform in (training_transform(params), evaluation_transform(params)):
            out = transform(picture)
            assert out.shape == (3, 24, 24)
            assert out.dtype == torch.uint8


def dataset_of(folder: Path) -> PictureDataset:
    task = make_task(folder)
    subset = task.subset("train")
    transform = training_transform(ImageParams(side=SIDE, jitter=0.3))
    return PictureDataset(task.store, subset.rows, subset.labels, transform, seed=5)


@pytest.mark.parametrize(
    ("batches", "workers", "ahead"), [(1, 0, None), (3, 0, None), (4, 2, 1), (9, 2, 3), (99, 2, 4)]
)
def test_no_more_is_loaded_ahead_than_shared_memory_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    batches: int,
    workers: int,
    ahead: int | None,
) -> None:
    made: list[dict[str, object]] = []
    monkeypatch.setattr(loading, "DataLoader", lambda *_, **options: made.append(options) or [])
    bytes_of_batch = 8 * (3 * SIDE * SIDE + 8 + 8)
    monkeypatch.setattr(loading, "free_shared_memory", lambda: batches * 2 * bytes_of_batch)
    loading.say_once.cache_clear()
    for _ in range(2):
        loader(dataset_of(tmp_path / str(len(made))), sequential_slices(16, 8), 5)
    assert [(one["num_workers"], one["prefetch_factor"]) for one in made] == [(workers, ahead)] * 2
    said = capsys.readouterr().err
    assert said.count("\n") == (0 if workers else 1)
    assert workers or "--shm-size=2g" in said


def test_training_does_not_hang_in_a_container_with_little_shared_memory(tmp_path: Path) -> None:
    """64 MB is what a container has that nobody has given more."""
    script = (
        "import numpy as np; from pathlib import Path; from fieldmark.datasets.data.batches.loading import *\n"
        "class Wide(PictureDataset):\n"
        "    def __getitem__(self, part):\n"
        "        return {'images': torch.full((len(part.indices), 3, 448, 448), part.first, dtype=torch.uint8)}\n"
        "data = Wide(None, np.arange(999), np.zeros(999, np.int64), None)\n"
        "seen = [len(batch['images']) for batch in loader(data, sequential_slices(640, 64), 2)]\n"
        "assert seen == [64] * 10, seen\n"
    )
    inside = 'mount -t tmpfs -o size=64m tmpfs /dev/shm || exit 77; exec "$@"'
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        inside,
        "sh",
        sys.executable,
        "-c",
        script,
    ]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if (
        done.returncode in (1, 77)
        and "Traceback" not in done.stderr
        and "loader processes" not in done.stderr
    ):
        pytest.skip("this system lets no user mount a file system of his own")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "too little for loader processes with batches of 37 MB" in done.stderr
