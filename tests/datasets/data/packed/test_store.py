import errno
import multiprocessing
import pickle
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from support.pictures import noise

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.packed import store as store_module
from fieldmark.datasets.data.packed.store import IMAGES, ImageStore, StoreWriter, encode

SHAPES = [(40, 48), (1, 1), (33, 7), (64, 64), (5, 90)]


@pytest.fixture
def pictures():
    return [noise(number, *SHAPES[number % len(SHAPES)]) for number in range(50)]


def write(folder, pictures, encoding="raw"):
    folder.mkdir(exist_ok=True)
    with StoreWriter(folder, encoding) as writer:
        rows = [writer.add(pixels) for pixels in pictures]
    assert rows == list(range(len(pictures)))
    return ImageStore.open(folder)


@pytest.mark.parametrize("batch_bytes", [1, 5000, 8 << 20])
def test_random_access_returns_what_was_written_whatever_the_batches(
    tmp_path, pictures, monkeypatch, batch_bytes
):
    monkeypatch.setattr(store_module, "BATCH_BYTES", batch_bytes)
    store = write(tmp_path, pictures)
    assert len(store) == len(pictures)
    for row in np.random.default_rng(0).permutation(len(pictures)):  # numpy integers index too
        np.testing.assert_array_equal(store[row], pictures[row])


def test_jpeg_is_near_and_as_pillow_decodes_it(tmp_path, pictures):
    store = write(tmp_path, pictures, "jpeg")
    assert store.encoding == "jpeg"
    for row, pixels in enumerate(pictures):
        assert store[row].shape == pixels.shape
        assert np.abs(store[row].astype(int) - pixels).mean() < 3


def test_raw_pictures_are_read_only_views_of_the_map(tmp_path, pictures):
    store = write(tmp_path, pictures)
    assert not store[3].flags.writeable
    assert np.shares_memory(store[3], store[3])  # two calls, one memory


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_the_side_is_known_where_all_pictures_are_equal_squares(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(store_module, "BATCH_BYTES", 1)  # a batch for each picture
    for name, shapes, side in (
        ("equal", [(9, 9)] * 3, 9),
        ("unequal", [(9, 9), (9, 9), (8, 8)], None),
        ("wide", [(9, 10)] * 3, None),
        ("none", [], None),
    ):
        pictures = [noise(number, *shape) for number, shape in enumerate(shapes)]
        assert write(tmp_path / name, pictures, encoding).square == side


def test_masks_lose_nothing_in_either_encoding(tmp_path):
    masks = [np.random.default_rng(n).integers(0, 256, (9, 11), dtype=np.uint8) for n in range(3)]
    for encoding in ("raw", "jpeg"):
        with StoreWriter(tmp_path, encoding) as writer:
            encoded = [encode(mask, writer.mask_encoding) for mask in masks]
            assert [writer.add_encoded_mask(mask) for mask in encoded] == [0, 1, 2]
        for row, mask in enumerate(masks):
            np.testing.assert_array_equal(ImageStore.open(tmp_path).mask(row), mask)


@pytest.mark.parametrize("row", [-1, 50, 10**9])
def test_rows_outside_are_refused(tmp_path, pictures, row):
    with pytest.raises(IndexError):
        write(tmp_path, pictures)[row]


def test_a_mask_of_a_store_without_masks_is_refused(tmp_path, pictures):
    with pytest.raises(IndexError, match="no masks"):
        write(tmp_path, pictures).mask(0)


def test_an_empty_store_has_no_rows(tmp_path):
    assert len(write(tmp_path, [])) == 0


def test_the_same_pictures_give_the_same_bytes(tmp_path, pictures):
    for encoding in ("raw", "jpeg"):
        digests = set()
        for name in ("a", "b"):
            write(tmp_path / name, pictures, encoding)
            digests.add(sha256((tmp_path / name / IMAGES).read_bytes()).hexdigest())
        assert len(digests) == 1


def digest_of(job):
    opened, row = job
    return sha256(opened[row].tobytes()).hexdigest()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_the_same(tmp_path, pictures, method):
    store = write(tmp_path, pictures)
    assert len(pickle.dumps(store)) < 500
    rows = [7, 0, 49, 7]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(digest_of, [(store, row) for row in rows])
    assert found == [sha256(pictures[row].tobytes()).hexdigest() for row in rows]


def test_absent_and_damaged_stores_are_one_line_errors(tmp_path, pictures):
    with pytest.raises(UserError, match="does not exist; run `prepare` first"):
        ImageStore.open(tmp_path / "none")
    write(tmp_path, pictures)
    path = tmp_path / IMAGES
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged"):
        ImageStore.open(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        ImageStore.open(tmp_path)


def test_an_interrupted_writer_leaves_no_readable_store(tmp_path, pictures):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"), StoreWriter(tmp_path, "raw"):
        raise full
    with pytest.raises(UserError, match="is damaged"):
        ImageStore.open(tmp_path)


def test_another_reader_can_open_the_file(tmp_path, pictures):
    write(tmp_path, pictures)
    table = pa.ipc.open_file(str(tmp_path / IMAGES)).read_all()
    assert table["height"].to_pylist() == [len(pixels) for pixels in pictures]
    assert table["data"][4].as_py() == pictures[4].tobytes()
