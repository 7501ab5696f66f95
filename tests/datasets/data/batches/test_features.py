"""The feature store: what is written is read, in any order, and what is half-written is missing."""

import pickle
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task

from fieldmark.datasets.data.batches.features import FeatureDataset, FeatureStore, Layout
from fieldmark.datasets.data.batches.loading import Slice
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.vision.libraries import Features

ROWS, PART = 11, 4


def features(rows: int = ROWS) -> Features:
    generator = torch.Generator().manual_seed(0)
    maps, cls, distilled = (
        torch.randn(rows, *shape, generator=generator) for shape in ((5, 2, 3), (5,), (5,))
    )
    return Features(maps, cls, distilled)


def some(whole: Features, rows: list[int]) -> Features:
    return Features(**{name: value[rows] for name, value in whole.named().items()})


def written(folder: Path, half: bool = False) -> FeatureStore:
    """Write a whole store, each part in batches of three."""
    whole = features()
    store = FeatureStore(folder, Layout.of(whole, half), ROWS, PART)
    for part in store.parts:
        with store.writing(part) as write:
            for each in part.slices(3):
                write(some(whole, list(each.indices)))
    return store


@pytest.mark.parametrize("half", [False, True])
def test_what_is_written_is_read_in_any_order(tmp_path: Path, half: bool) -> None:
    store, rows = written(tmp_path, half), [10, 0, 7, 7, 3]
    assert store.missing() == []
    read, expected = store.read(rows), some(features(), rows).named()
    assert list(read) == list(expected)
    for name, value in expected.items():
        assert read[name].dtype == (torch.bfloat16 if half else torch.float32)
        assert torch.equal(read[name], value.bfloat16() if half else value)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size == ROWS * (5 * 2 * 3 + 5 + 5) * (2 if half else 4)


def test_a_map_alone_has_no_tokens(tmp_path: Path) -> None:
    whole = Features(features().feature_map)
    store = FeatureStore(tmp_path, Layout.of(whole, False), ROWS, ROWS)
    with store.writing(store.parts[0]) as write:
        write(whole)
    assert store.read([2]).keys() == {"feature_map"}


def test_extreme_values_survive_half_precision() -> None:
    values = torch.tensor([[1e38, -1e38, 1e-38, float("inf"), -0.0]])
    layout = Layout({"cls": (5,)}, True)
    read = layout.split(layout.joined(Features(values, values)))["cls"]
    assert torch.equal(read, values.bfloat16())


def test_a_part_whose_writing_was_killed_is_missing(tmp_path: Path) -> None:
    store = written(tmp_path)
    last = store.parts[-1]
    last.path.unlink()
    with pytest.raises(KeyboardInterrupt), store.writing(last) as write:
        write(some(features(), [8]))
        raise KeyboardInterrupt
    assert store.missing() == [last]
    assert (last.first, last.last) == (8, 11)
    with pytest.raises(FileNotFoundError):
        store.read([9])


def test_a_part_that_lacks_bytes_is_missing(tmp_path: Path) -> None:
    store = written(tmp_path)
    path = store.parts[1].path
    path.write_bytes(path.read_bytes()[:-1])
    assert store.missing() == [store.parts[1]]


def test_a_pickled_store_is_small_and_reads_the_same(tmp_path: Path) -> None:
    store = written(tmp_path)
    before = store.read([5])
    pickled = pickle.dumps(store)
    assert len(pickled) < 1000
    assert torch.equal(pickle.loads(pickled).read([5])["feature_map"], before["feature_map"])


@pytest.mark.parametrize("images", [False, True])
def test_batches_hold_the_features_of_the_views_that_are_taken(tmp_path: Path, images: bool) -> None:
    task = make_task(tmp_path)
    subset, views = task.subset("train"), 3
    pictures = ViewDataset(
        task.store, subset.rows, subset.labels, training_transform(ImageParams(side=SIDE)), 1, views
    )
    whole = features(len(pictures) * views)
    store = FeatureStore(tmp_path / "store", Layout.of(whole, False), len(pictures) * views, 1000)
    with store.writing(store.parts[0]) as write:
        write(whole)
    part = Slice(4, 6, (3, 17, 3))
    batch, seen = FeatureDataset(pictures, store, images)[part], pictures[part]
    rows = [index * views + pictures.view_of(part, place) for place, index in enumerate(part.indices)]
    for name, value in some(whole, rows).named().items():
        assert torch.equal(batch.pop(name), value)
    if not images:
        del seen["images"]
    assert batch.keys() == seen.keys()
    assert all(torch.equal(batch[name], value) for name, value in seen.items())
