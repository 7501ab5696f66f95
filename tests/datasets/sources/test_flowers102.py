import tarfile

import numpy as np
import pytest
import scipy.io
from support.pictures import dataset, write_picture
from support.sources import fetched, refused, validated

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire import captions
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.sources import flowers102
from fieldmark.datasets.sources.flowers102 import MD5, Flowers102, Flowers102Params

PICTURES, CLASSES = 12, 3
LABELS = [1 + number % CLASSES for number in range(PICTURES)]
SETS = {"trnid": [1, 2, 3], "valid": [4, 5, 6], "tstid": [7, 8, 9, 10, 11, 12]}


def save(folder, labels=None, **sets):
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([labels or LABELS], np.uint8)})
    scipy.io.savemat(folder / "setid.mat", {key: np.array([ids]) for key, ids in {**SETS, **sets}.items()})


@pytest.fixture
def twin(tmp_path):
    folder = tmp_path / "data" / "flowers-102"
    texts = tmp_path / "text" / "text_c10"
    for number in range(1, PICTURES + 1):
        write_picture(folder / "jpg" / f"image_{number:05d}.jpg", number)
        text = texts / f"class_{LABELS[number - 1]:05d}" / f"image_{number:05d}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("".join(f"this is sentence {n} of flower {number}.\n" for n in range(10)))
    save(folder)
    return folder


def records_of(tmp_path, **settings):
    return fetched(Flowers102(Flowers102Params(**settings)), tmp_path / "raw" / "flowers")


@pytest.mark.parametrize("inner", ["", ".."])
def test_reads_the_official_layout_from_the_folder_or_its_parent(tmp_path, twin, inner):
    records = records_of(tmp_path, path=str(twin / inner))
    assert [record.split for record in records] == ["train"] * 6 + ["test"] * 6
    assert [record.class_name for record in records] == [f"{label:03d}" for label in LABELS]
    assert (records[4].id, records[4].captions) == ("image_00005.jpg", ())
    assert not list((tmp_path / "raw").rglob("*.jpg"))


def test_captions_go_by_the_number_of_the_picture(tmp_path, twin, caplog):
    records = records_of(tmp_path, path=str(twin), captions=str(tmp_path / "text"))
    assert records[6].captions == tuple(f"this is sentence {n} of flower 7." for n in range(10))
    assert "fewer than" not in caplog.text
    next((tmp_path / "text").rglob("image_00007.txt")).unlink()
    records = records_of(tmp_path, path=str(twin), captions=str(tmp_path / "text"))
    assert records[6].captions == ()
    assert "1 photographs have fewer than 10 captions, first image_00007.jpg" in caplog.text
    with pytest.raises(UserError, match=r"flowers102\.captions: there is no folder text_c10"):
        records_of(tmp_path, path=str(twin), captions=str(twin))


def test_downloads_verifies_and_puts_pictures_and_tables_side_by_side(tmp_path, twin, monkeypatch):
    asked = {}

    def fake_download(url, path, **expected):
        asked[url.rpartition("/")[2]] = expected["md5"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".mat":
            path.write_bytes((twin / path.name).read_bytes())
        else:
            with tarfile.open(path, "w:gz") as tar:
                tar.add(twin / "jpg", "jpg")

    def fake_captions(archive, downloads):
        assert archive == "cvpr2016_flowers.tar.gz"
        with tarfile.open(downloads / archive, "w:gz") as tar:
            tar.add(tmp_path / "text", "cvpr2016_flowers")
        return downloads / archive

    (tmp_path / "raw" / ".downloads").mkdir(parents=True)
    monkeypatch.setattr(flowers102, "download", fake_download)
    monkeypatch.setattr(captions, "download_captions", fake_captions)
    records = records_of(tmp_path, captions="download")
    assert asked == MD5
    assert (len(records), len(records[0].captions)) == (PICTURES, 10)
    assert records[0].image.read_bytes()[:2] == b"\xff\xd8"
    assert sorted(path.name for path in (tmp_path / "raw" / "flowers").iterdir()) == [
        *("captions", "imagelabels.mat", "jpg", "setid.mat"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tstid": [7, 8, 9, 10, 11]}, r"setid\.mat: picture 12 is in none of trnid, valid, tstid"),
        ({"valid": [3, 4, 5, 6]}, r"setid\.mat: picture 3 is in two of"),
        ({"labels": [*LABELS, 1]}, r"1 pictures of imagelabels\.mat are missing: jpg/image_00013\.jpg"),
    ],
)
def test_damaged_tables_are_one_line(tmp_path, twin, changes, message):
    save(twin, **changes)
    with refused(message):
        records_of(tmp_path, path=str(twin))


def test_a_wrong_folder_is_one_line_that_says_what_is_missing(tmp_path, twin):
    with pytest.raises(UserError, match=r"flowers102\.path: there is no folder"):
        records_of(tmp_path, path=str(tmp_path / "nowhere"))
    (twin / "setid.mat").unlink()
    with pytest.raises(UserError, match=r"official layout: setid\.mat is missing"):
        records_of(tmp_path, path=str(twin))


def test_the_twin_runs_from_fetch_to_validation(tmp_path, twin):
    settings = {"path": str(twin), "captions": str(tmp_path / "text")}
    params = dataset("flowers102", settings, side=32)
    kinds = {"classification": SplitParams(dataset="d", kind="classification")}
    _, splits = validated(tmp_path, params, kinds)
    assert splits["classification"]["role"].value_counts().to_dict() == {"train": 6, "test": 6}
