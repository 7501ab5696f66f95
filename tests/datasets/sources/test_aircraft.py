import tarfile

import numpy as np
import pytest
from support.pictures import dataset, encoded, noise
from support.sources import fetched, refused, validated

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.preparing.decoding import BadImageError
from fieldmark.datasets.preparing.pictures import process
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.sources import aircraft
from fieldmark.datasets.sources.aircraft import Aircraft, AircraftParams

VARIANTS = {"A380": "Airbus", "707-320": "Boeing", "F/A-18": "McDonnell Douglas", "An-12": "Antonov"}
BANNER = 20


@pytest.fixture
def twin(tmp_path):
    """Four variants in an order that is not alphabetic, three pictures each for training and two for the test."""
    folder = tmp_path / "data" / "fgvc-aircraft-2013b" / "data"
    (folder / "images").mkdir(parents=True)
    lines = {name: [] for name in aircraft.TABLES}
    lines["variants.txt"] = list(VARIANTS)
    for label, (variant, maker) in enumerate(VARIANTS.items()):
        for number in range(5):
            key, part = f"{label}{number:06d}", "trainval" if number < 3 else "test"
            lines[f"images_variant_{part}.txt"].append(f"{key} {variant}")
            lines[f"images_manufacturer_{part}.txt"].append(f"{key} {maker}")
            lines["images_box.txt"].append(f"{key} 3 2 42 31")
            pixels = np.concatenate([noise(10 * label + number), np.zeros((BANNER, 48, 3), np.uint8)])
            (folder / "images" / f"{key}.jpg").write_bytes(encoded(pixels, "JPEG", quality=95))
    for name, content in lines.items():
        (folder / name).write_text("\n".join(content) + "\n")
    return folder


def records_of(tmp_path, path):
    return fetched(Aircraft(AircraftParams(path=path)), tmp_path / "raw" / "aircraft")


@pytest.mark.parametrize("inner", ["", "..", "../.."])
def test_reads_the_official_layout_from_the_folder_or_one_above(tmp_path, twin, inner):
    records = records_of(tmp_path, str(twin / inner))
    assert [record.split for record in records] == ["train"] * 12 + ["test"] * 8
    first, last = records[0], records[-1]
    assert (first.id, first.class_name, first.group) == ("0000000.jpg", "001.A380", "Airbus")
    assert first.box == (2.0, 1.0, 40.0, 30.0)
    assert (last.class_name, last.group) == ("004.An-12", "Antonov")
    assert {record.class_name for record in records if record.group == "McDonnell Douglas"} == {"003.F-A-18"}
    assert not list((tmp_path / "raw").rglob("*.jpg"))


def test_downloads_verifies_and_unpacks_the_archive(tmp_path, twin, monkeypatch):
    def fake_download(url, path, **expected):
        assert url.endswith("/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz")
        assert expected == {"md5": "d4acdd33327262359767eeaa97a4f732"}
        path.parent.mkdir(parents=True)
        with tarfile.open(path, "w:gz") as tar:
            tar.add(twin.parent, "fgvc-aircraft-2013b")

    monkeypatch.setattr(aircraft, "download", fake_download)
    assert len(records_of(tmp_path, None)) == 20


def test_the_credit_line_is_cut_off_before_anything_else(tmp_path, twin):
    params = dataset("aircraft", {"path": str(twin)}, encoding="raw")
    prepare(records_of(tmp_path, str(twin)), tmp_path / "out", params)
    manifest = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert set(manifest["height"]) == {40}
    store = ImageStore.open(tmp_path / "out")
    assert all(store[row].shape == (40, 48, 3) and store[row][-3:].max() > 10 for row in manifest["row"])
    assert list(manifest["box"][0]) == [2.0, 1.0, 40.0, 30.0]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_cutting_all_of_a_picture_or_none_of_it(encoding):
    params = dataset(encoding=encoding)
    whole = Record("a", encoded(noise(1), "JPEG", quality=95), None)
    assert process(whole, params, "raw").height == 40
    for rows in (40, 99):
        reason = process(Record("a", whole.image, None, cut_below=rows), params, "raw")
        assert isinstance(reason, BadImageError)
        assert f"of which {rows} are to be cut off" in str(reason)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("variants.txt", "A380\n", r"variants\.txt has no line for '707-320'"),
        ("images_variant_test.txt", "0000003\n", "line 1 should be '<image id> <value>'"),
        ("images_variant_test.txt", "0000003 A380\n0000003 A380\n", "line 2 should be"),
        ("images_variant_test.txt", "0000000 A380\n", "names 1 pictures twice|has no line"),
        ("images_manufacturer_test.txt", "1 x\n", r"images_manufacturer_test\.txt has no line for '0000003'"),
        ("images_box.txt", "0000000 1 2 3\n", "the box of 0000000 should be four numbers, it is '1 2 3'"),
        ("images_box.txt", "1 1 2 3 4\n", r"images_box\.txt has no line for '0000000'"),
    ],
)
def test_damaged_tables_are_one_line_and_write_nothing(tmp_path, twin, name, text, message):
    (twin / name).write_text(text)
    with refused(message):
        records_of(tmp_path, str(twin))
    assert not (tmp_path / "raw").exists()


def test_a_wrong_folder_and_missing_pictures_are_one_line(tmp_path, twin):
    with pytest.raises(UserError, match=r"aircraft\.path: there is no folder"):
        records_of(tmp_path, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"official layout: variants\.txt is missing"):
        records_of(tmp_path, str(twin / "images"))
    (twin / "images" / "0000001.jpg").unlink()
    with pytest.raises(UserError, match=r"1 pictures of .* are missing: images/0000001\.jpg"):
        records_of(tmp_path, str(twin))


def test_the_twin_runs_from_fetch_to_validation(tmp_path, twin):
    params = dataset("aircraft", {"path": str(twin)}, side=32)
    kinds = {kind: SplitParams(dataset="d", kind=kind) for kind in ("retrieval", "classification")}
    _, splits = validated(tmp_path, params, kinds)
    retrieval = splits["retrieval"].groupby("role")["class_name"].unique()
    assert list(retrieval["train"]) == ["001.A380", "002.707-320"]
    assert splits["classification"]["role"].value_counts().to_dict() == {"train": 12, "test": 8}
