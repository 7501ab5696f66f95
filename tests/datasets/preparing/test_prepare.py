import errno
import io
import json
import time
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image
from support.pictures import dataset, encoded, noise, record

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.data.batches.transforms import (
    ImageParams,
    evaluation_transform,
    to_tensor,
    training_transform,
)
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.preparing import prepare as prepare_module
from fieldmark.datasets.preparing.decoding import decode
from fieldmark.datasets.preparing.pictures import clip_box, resized_shape
from fieldmark.datasets.preparing.prepare import MANIFEST, ordered_map, prepare


def run(tmp_path, records, **params):
    prepare(records, tmp_path / "out", dataset(**params), workers=3)
    folder = tmp_path / "out"
    return (
        read_manifest(folder / MANIFEST),
        ImageStore.open(folder),
        json.loads((folder / "rejected.json").read_text()),
        json.loads((folder / "summary.json").read_text()),
    )


def test_everything_a_record_says_arrives(tmp_path):
    mask = np.random.default_rng(0).integers(0, 9, (40, 48), dtype=np.uint8)
    full = record(
        1,
        "wren",
        group="troglodytes",
        split="train",
        captions=("a bird", "brown"),
        box=(1.0, 2.0, 30.0, 20.0),
        mask=encoded(mask),
        attributes={"tail": "short", "bill": "thin"},
        labels=("bird", "leaf"),
    )
    manifest, store, rejected, summary = run(tmp_path, [record(0, None), full], encoding="raw")
    bare, row = manifest.iloc[0], manifest.iloc[1]
    assert (bare["label"], bare["mask_row"], bare["box"], bare["captions"]) == (-1, -1, None, [])
    assert (row["label"], row["class_name"], row["group"], row["split"]) == (
        0,
        "wren",
        "troglodytes",
        "train",
    )
    assert (row["captions"], row["labels"]) == (["a bird", "brown"], ["bird", "leaf"])
    assert (row["box"], row["attributes"]) == ([1.0, 2.0, 30.0, 20.0], '{"bill": "thin", "tail": "short"}')
    np.testing.assert_array_equal(store[row["row"]], noise(1))
    np.testing.assert_array_equal(store.mask(row["mask_row"]), mask)
    assert rejected == []
    assert (summary["pictures"], summary["masks"], summary["captions"], summary["boxes"]) == (2, 1, 2, 1)


def test_order_and_content_do_not_depend_on_the_number_of_workers(tmp_path):
    records = [record(number) for number in range(30)]
    digests = set()
    for workers in (1, 5):
        prepare(records, tmp_path / "out", dataset(), workers)
        assert read_manifest(tmp_path / "out" / MANIFEST)["id"].tolist() == [item.id for item in records]
        digests.add(tuple(sha256(p.read_bytes()).hexdigest() for p in sorted((tmp_path / "out").iterdir())))
    assert len(digests) == 1


def test_an_rgb_jpeg_that_is_not_resized_keeps_its_own_bytes(tmp_path):
    data = encoded(noise(0), "JPEG", quality=60)
    _, store, _, _ = run(tmp_path, [record(0, image=data)], encoding="jpeg")
    assert data in (tmp_path / "out" / "images.arrow").read_bytes()
    np.testing.assert_array_equal(store[0], np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_resizing_scales_picture_box_and_mask_together(tmp_path, encoding):
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[20:60, 30:90] = 255
    mask = (pixels[..., 0] // 255).astype(np.uint8) * 7
    source = record(0, image=encoded(pixels), mask=encoded(mask), box=(30.0, 20.0, 60.0, 40.0))
    manifest, store, _, _ = run(tmp_path, [source], side=40, encoding=encoding)
    row = manifest.iloc[0]
    assert store[0].shape == (40, 60, 3)
    assert (row["width"], row["height"]) == (120, 80)
    x, y, width, height = row["box"]
    assert (x, y, width, height) == (15.0, 10.0, 30.0, 20.0)
    inside = np.zeros((40, 60), bool)
    inside[int(y) : int(y + height), int(x) : int(x + width)] = True
    np.testing.assert_array_equal(store.mask(0) == 7, inside)
    assert set(np.unique(store.mask(0))) == {0, 7}
    assert ((store[0][..., 0] > 127) == inside).mean() > 0.99


@pytest.mark.parametrize(
    ("height", "width", "side", "stored"),
    [
        (80, 120, 40, (40, 60)),
        (120, 80, 40, (60, 40)),
        (10, 1000, 5, (5, 500)),
        (7, 5, None, (7, 5)),
        (2, 3, 4, (4, 6)),
    ],
)
def test_the_shorter_side_becomes_the_side_asked_for(height, width, side, stored):
    assert resized_shape(height, width, side, "shorter_side") == stored
    assert resized_shape(height, width, side, "square") == (stored if side is None else (side, side))


def test_a_square_scales_picture_box_and_mask_by_a_factor_for_each_side(tmp_path):
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[20:60, 30:90] = 255
    mask = (pixels[..., 0] // 255).astype(np.uint8) * 7
    source = record(0, image=encoded(pixels), mask=encoded(mask), box=(30.0, 20.0, 60.0, 40.0))
    manifest, store, _, _ = run(tmp_path, [source], side=40, shape="square", encoding="raw")
    row = manifest.iloc[0]
    assert (store[0].shape, store.mask(0).shape) == ((40, 40, 3), (40, 40))
    assert (row["width"], row["height"]) == (120, 80)  # of the original
    assert row["box"] == [10.0, 10.0, 20.0, 20.0]
    inside = np.zeros((40, 40), bool)
    inside[10:30, 10:30] = True
    np.testing.assert_array_equal(store.mask(0) == 7, inside)
    assert set(np.unique(store.mask(0))) == {0, 7}
    assert ((store[0][..., 0] > 127) == inside).mean() > 0.99


def rotated(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(pixels, "JPEG", quality=95, exif=exif)


def converted(mode, pixels):
    return encoded(Image.fromarray(pixels).convert(mode), "JPEG", quality=95)


RANDOM = np.random.default_rng(0).integers(0, 256, (61, 97, 3), np.uint8)
FILES = {
    "wide": encoded(noise(0, 375, 500), "JPEG", quality=95),
    "tall": encoded(noise(1, 501, 333), "JPEG", quality=95),
    "small": encoded(noise(2, 40, 33)),
    "one side right": encoded(noise(3, 256, 399)),
    "square": encoded(noise(4, 256, 256), "JPEG", quality=95),
    "long": encoded(noise(5, 120, 900)),
    "noise": encoded(RANDOM),
    "grey": converted("L", noise(6, 300, 401)),
    "CMYK": converted("CMYK", noise(7, 300, 401)),
    "turned": rotated(noise(8, 300, 401)),
}


def test_squares_kept_are_what_loading_makes_of_the_originals_bit_for_bit(tmp_path):
    records = [record(number, image=data) for number, data in enumerate(FILES.values())]
    _, store, _, _ = run(tmp_path, records, side=256, shape="square", encoding="raw")
    images = ImageParams(side=224, resize=256, shape="square", crop="random")
    for number, (name, data) in enumerate(FILES.items()):
        original, kept = to_tensor(decode(data).pixels), to_tensor(store[number])
        assert kept.shape == (3, 256, 256)
        for transform in (evaluation_transform(images), training_transform(images)):
            made, found = (seeded(transform, pixels) for pixels in (original, kept))
            assert torch.equal(made, found), name
        assert evaluation_transform(images).transforms[0](kept) is kept  # nothing is left to resize


def seeded(transform, pixels):
    torch.manual_seed(0)
    return transform(pixels)


def test_labels_are_never_mixed_and_a_box_follows_both_sides_when_they_round(tmp_path):
    mask = np.random.default_rng(0).integers(0, 2, (33, 100), dtype=np.uint8) * 200
    source = record(0, image=encoded(noise(0, 33, 100)), mask=encoded(mask), box=(10.0, 11.0, 50.0, 11.0))
    manifest, store, _, _ = run(tmp_path, [source], side=8)
    assert store[0].shape == (8, 24, 3)
    assert set(np.unique(store.mask(0))) == {0, 200}
    assert manifest["box"][0] == pytest.approx([2.4, 11 * 8 / 33, 12.0, 11 * 8 / 33])


def test_boxes_a_few_pixels_past_the_edge_are_clipped_and_worse_ones_stay():
    assert clip_box((90.0, 0.0, 13.0, 10.0), 100, 50, overreach=5) == (90.0, 0.0, 10.0, 10.0)
    assert clip_box((-2.0, -3.0, 10.0, 10.0), 100, 50, overreach=5) == (0.0, 0.0, 8.0, 7.0)
    for box in [(90.0, 0.0, 30.0, 10.0), (0.0, 0.0, 100.0, 50.0), (float("nan"), 0.0, 1.0, 1.0)]:
        assert clip_box(box, 100, 50, overreach=5) is box


def test_exif_rotation_counts_for_size_and_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    manifest, store, _, _ = run(tmp_path, [record(0, image=encoded(noise(0), "JPEG", exif=exif))])
    assert (manifest["width"][0], manifest["height"][0]) == (40, 48)
    assert store[0].shape == (48, 40, 3)


BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"no picture", "not a picture of a known format"),
    "cut": (encoded(noise(3), "JPEG")[:-300], "truncated"),
    "dot": (encoded(noise(3, 1, 1)), "1 x 1 pixels; a side must have at least 32"),
}


def test_unusable_pictures_within_the_budget_are_listed_and_left_out(tmp_path):
    records = [record(n) for n in range(3)]
    records[1:1] = [Record(id=name, image=data, class_name="owl") for name, (data, _) in BAD.items()]
    missing = tmp_path / "gone.jpg"
    records.append(Record(id="gone", image=missing, class_name="wren"))
    manifest, store, rejected, summary = run(tmp_path, records, bad_images=5)
    assert manifest["id"].tolist() == ["wren/0", "wren/1", "wren/2"]
    assert manifest["row"].tolist() == [0, 1, 2]
    assert len(store) == 3
    assert [item["id"] for item in rejected] == [*BAD, "gone"]
    for item, (_, reason) in zip(rejected, BAD.values(), strict=False):
        assert reason in item["reason"]
    assert rejected[-1]["path"] == str(missing)
    assert "cannot be read: No such file" in rejected[-1]["reason"]
    assert (summary["rejected"], summary["classes"]) == (5, 1)  # no class is left of owls alone


def test_over_the_budget_the_stage_stops_naming_them_and_leaves_nothing(tmp_path):
    records = [record(0), *(Record(id=name, image=data, class_name=None) for name, (data, _) in BAD.items())]
    with pytest.raises(
        UserError, match=r"4 of 5 .*allows 3: empty: the file is empty; text: .*; \.\.\.; mend"
    ):
        run(tmp_path, records, bad_images=3)
    assert list(tmp_path.iterdir()) == []


def test_a_mask_that_does_not_fit_makes_the_picture_unusable(tmp_path):
    wrong = record(0, mask=encoded(np.zeros((10, 10), np.uint8)))
    with pytest.raises(UserError, match="the mask has 10 x 10 pixels, the picture 48 x 40"):
        run(tmp_path, [wrong, record(1)])


def test_a_duplicate_id_is_refused(tmp_path):
    with pytest.raises(UserError, match="names the picture 'wren/1' twice"):
        run(tmp_path, [record(1), record(2), record(1)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [0, 1])
def test_a_source_without_usable_pictures_is_refused(tmp_path, bad):
    records = [Record(id="x", image=b"", class_name=None)][:bad]
    with pytest.raises(UserError, match="no usable picture"):
        run(tmp_path, records, bad_images=1)


def test_equal_pictures_are_named_in_the_summary(tmp_path):
    same = encoded(noise(0))
    records = [record(0, image=same), record(1), record(2, "owl", image=encoded(noise(0), "BMP"))]
    manifest, _, _, summary = run(tmp_path, records)
    assert summary["duplicates"] == [["owl/2", "wren/0"]]
    assert manifest["sha256"].nunique() == 2


@pytest.mark.parametrize("place", ["store", "manifest"])
def test_a_full_disk_leaves_no_output_and_keeps_the_old_one(tmp_path, monkeypatch, place):
    run(tmp_path, [record(0)])
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "store":
        monkeypatch.setattr("fieldmark.datasets.data.packed.store._Packer._flush", full)
    else:
        monkeypatch.setattr(prepare_module, "write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, [record(number) for number in range(9)])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_destination_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        prepare([record(0)], tmp_path / "file" / "out", dataset())


def test_ordered_map_keeps_order_and_little_in_memory():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    def slow_when_even(number):
        time.sleep(0.002 * (number % 2 == 0))
        return number * number

    results = ordered_map(slow_when_even, items(), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(taken) <= 3 + 2 * prepare_module.AHEAD
    assert list(results) == [number * number for number in range(3, 100)]
