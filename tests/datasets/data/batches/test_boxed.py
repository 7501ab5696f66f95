"""Pictures cut to their boxes: the square, its mask beside it, the edges, and data sets without boxes."""

import pickle

import numpy as np
import pandas as pd
import pytest

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.boxed import BoxedStore, QueryStore, cut
from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter, encode

HEIGHT, WIDTH = 40, 60
RANDOM = np.random.default_rng(0)
PICTURES = [RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(6)]
BOXES = [
    [20.0, 10.0, 20.0, 10.0],  # wide, in the middle
    [20.0, 10.0, 6.0, 10.0],  # tall
    [0.0, 0.0, 10.0, 10.0],  # in a corner
    [52.0, 34.0, 8.0, 6.0],  # in the opposite one
    [0.0, 5.0, 60.0, 30.0],  # wider than the picture is high
    None,
]
# Rows, then columns of what is shown.
SHOWN = [
    (slice(4, 26), slice(19, 41)),
    (slice(10, 21), slice(18, 29)),
    (slice(0, 11), slice(0, 11)),
    (slice(31, 40), slice(51, 60)),
    (slice(0, 40), slice(0, 60)),
    (slice(0, 40), slice(0, 60)),
]


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with StoreWriter(folder, request.param) as writer:
        for picture in PICTURES:
            writer.add(picture)
            writer.add_encoded_mask(encode(picture[..., 0], writer.mask_encoding))
    return folder


def manifest(boxes):
    rows = range(len(boxes))
    return pd.DataFrame({"row": rows, "mask_row": rows, "box": pd.Series(boxes, dtype=object)})


@pytest.mark.parametrize("row", range(len(BOXES)))
def test_a_picture_and_its_mask_are_cut_to_the_square_around_the_box(folder, row):
    store = BoxedStore.of(folder, manifest(BOXES))
    rows, columns = SHOWN[row]
    assert np.array_equal(store.mask(row), PICTURES[row][rows, columns, 0])
    assert store[row].shape == (*store.mask(row).shape, 3)
    if store.encoding == "raw":
        assert np.array_equal(store[row], PICTURES[row][rows, columns])


def test_the_box_lies_within_what_is_shown():
    """Whatever the box: the square holds it, and is a square where the picture has room for one."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        x, y = rng.uniform(0, WIDTH - 2), rng.uniform(0, HEIGHT - 2)
        box = (x, y, rng.uniform(1, WIDTH - x), rng.uniform(1, HEIGHT - y))
        places = np.stack(np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"), -1)
        shown = cut(places, box)
        (top, left), (bottom, right) = shown[0, 0], shown[-1, -1] + 1
        assert top <= y + 1
        assert left <= x + 1
        assert bottom >= y + box[3] - 1
        assert right >= x + box[2] - 1
        assert shown.shape[0] == shown.shape[1] or shown.shape[0] == HEIGHT


def test_workers_get_the_same_store(folder):
    store = BoxedStore.of(folder, manifest(BOXES))
    again = pickle.loads(pickle.dumps(store))
    assert np.array_equal(again[1], store[1])
    assert np.array_equal(again.mask(1), store.mask(1))


def test_what_is_cut_to_boxes_has_no_common_side(tmp_path):
    with StoreWriter(tmp_path, "raw") as writer:
        for picture in PICTURES:
            writer.add(picture[:40, :40])
    assert ImageStore.open(tmp_path).square == 40
    assert BoxedStore.of(tmp_path, manifest(BOXES)).square is None
    assert QueryStore.of(tmp_path, manifest(BOXES).assign(id="a"), ["a"]).square is None


def test_a_data_set_without_boxes_is_refused_in_one_line(folder):
    with pytest.raises(UserError, match="no boxes to which its pictures could be cut; set region: whole"):
        BoxedStore.of(folder, manifest([None] * 6))
