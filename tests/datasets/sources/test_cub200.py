import json
import tarfile

import pytest
from support.pictures import dataset, write_cub
from support.sources import fetched, refused, validated

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire import captions
from fieldmark.datasets.acquire.captions import read_captions
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.sources import cub200
from fieldmark.datasets.sources.cub200 import Cub200, Cub200Params


@pytest.fixture
def twin(tmp_path):
    write_cub(tmp_path / "data" / "CUB_200_2011", captions=tmp_path / "text" / "cvpr2016_cub")
    return tmp_path / "data"


def records_of(tmp_path, **settings):
    return fetched(Cub200(Cub200Params(**settings)), tmp_path / "raw" / "cub")


@pytest.mark.parametrize("inner", ["", "CUB_200_2011"])
def test_reads_the_official_layout_from_the_folder_or_its_parent(tmp_path, twin, inner):
    (twin / "CUB_200_2011" / "images" / "001.Bird_B" / "._Bird_0000_1.jpg").write_bytes(b"macOS")
    records = records_of(tmp_path, path=str(twin / inner))
    assert len(records) == 20
    first, last = records[0], records[-1]
    assert first.id == "001.Bird_B/Bird_0000_1.jpg"
    assert (first.class_name, first.group, first.split, first.box) == (
        "001.Bird_B",
        "B",
        "train",
        (4.0, 3.0, 46.0, 30.0),
    )
    assert (last.class_name, last.split, last.captions) == ("004.Bird_A", "test", ())
    assert not list((tmp_path / "raw").rglob("*.jpg"))  # nothing is copied


def test_downloads_verifies_and_unpacks_the_archive(tmp_path, twin, monkeypatch):
    def fake_download(url, path, **expected):
        assert url == "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
        assert (expected["size"], len(expected["sha256"])) == (1150585339, 64)
        path.parent.mkdir(parents=True)
        with tarfile.open(path, "w:gz") as tar:
            tar.add(twin / "CUB_200_2011", "CUB_200_2011")

    monkeypatch.setattr(cub200, "download", fake_download)
    records = records_of(tmp_path)
    assert len(records) == 20
    assert records[0].image.read_bytes()[:2] == b"\xff\xd8"
    assert (tmp_path / "raw" / ".downloads" / "CUB_200_2011.tgz").exists()  # outside what DVC empties


def test_captions_are_found_at_any_depth(tmp_path, twin):
    records = records_of(tmp_path, path=str(twin), captions=str(tmp_path / "text"))
    assert records[6].captions == tuple(f"this is sentence {n} of bird 7." for n in range(10))
    with pytest.raises(UserError, match="no folder text_c10"):
        records_of(tmp_path, path=str(twin), captions=str(twin))


def test_captions_with_broken_bytes_and_empty_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a bird\xef\xbf\xbd\xef\xbf\xbd with \xff\xfe wings\n\n   \nsecond  one\r\n")
    assert read_captions(path) == ("a bird with wings", "second one")
    assert read_captions(tmp_path / "none.txt") == ()


def test_few_captions_are_a_warning(tmp_path, twin, caplog):
    texts = sorted((tmp_path / "text").rglob("*.txt"))
    texts[0].write_text("only one\n")
    texts[1].unlink()
    records = records_of(tmp_path, path=str(twin), captions=str(tmp_path / "text"))
    assert (records[0].captions, records[1].captions) == (("only one",), ())
    assert "2 photographs have fewer than 10 captions, first 001.Bird_B/Bird_0000_1.jpg" in caplog.text


@pytest.mark.parametrize("name", ["images.txt", "classes.txt", "bounding_boxes.txt"])
def test_a_wrong_folder_is_one_line_that_says_what_is_missing(tmp_path, twin, name):
    (twin / "CUB_200_2011" / name).unlink()
    with refused(rf"not CUB-200-2011 in its official layout: {name} is missing"):
        records_of(tmp_path, path=str(twin))
    assert not (tmp_path / "raw").exists()


def test_an_absent_folder_and_missing_pictures_are_one_line(tmp_path, twin):
    with pytest.raises(UserError, match=r"cub200\.path: there is no folder"):
        records_of(tmp_path, path=str(tmp_path / "nowhere"))
    for picture in sorted((twin / "CUB_200_2011" / "images").rglob("*.jpg"))[:2]:
        picture.unlink()
    with pytest.raises(UserError, match=r"2 pictures of images\.txt are missing: images/001"):
        records_of(tmp_path, path=str(twin))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("image_class_labels.txt", "1 1\n", r"image_class_labels\.txt has no line for id 2"),
        ("classes.txt", "1 a\n1 b\n", r"classes\.txt: line 2 should be '<id> <value>' with a new id"),
        ("classes.txt", "1\n", r"classes\.txt: line 1 should be"),
        ("bounding_boxes.txt", "1 2 3 4\n", r"the box of id 1 should be four numbers, it is '2 3 4'"),
    ],
)
def test_damaged_tables_are_one_line(tmp_path, twin, name, text, message):
    (twin / "CUB_200_2011" / name).write_text(text)
    with pytest.raises(UserError, match=message):
        records_of(tmp_path, path=str(twin))


def test_the_twin_runs_from_fetch_to_validation(tmp_path, twin):
    settings = {"path": str(twin), "captions": str(tmp_path / "text")}
    params = dataset("cub200", settings, side=32)
    kinds = {kind: SplitParams(dataset="d", kind=kind) for kind in ("retrieval", "classification")}
    _, splits = validated(tmp_path, params, kinds)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["boxes_clipped"] == 1
    retrieval = splits["retrieval"].groupby("role")["class_name"].unique()
    assert list(retrieval["train"]) == ["001.Bird_B", "002.Bird_A"]
    assert list(retrieval["test"]) == ["003.Bird_B", "004.Bird_A"]
    assert splits["classification"]["role"].value_counts().to_dict() == {"train": 12, "test": 8}


def test_captions_are_downloaded_beside_pictures_of_ones_own(tmp_path, twin, monkeypatch):
    def fake_captions(archive, downloads):
        assert archive == "cvpr2016_cub.tar.gz"
        downloads.mkdir(parents=True, exist_ok=True)
        with tarfile.open(downloads / archive, "w:gz") as tar:
            tar.add(tmp_path / "text", "cvpr2016_cub")
        return downloads / archive

    monkeypatch.setattr(captions, "download_captions", fake_captions)
    source = Cub200(Cub200Params(path=str(twin), captions="download"))
    assert source.promises["captions"]
    records = fetched(source, tmp_path / "raw" / "cub")
    assert records[6].captions == tuple(f"this is sentence {n} of bird 7." for n in range(10))
    assert (tmp_path / "raw" / "cub" / "source.json").exists()


def test_a_consent_page_in_place_of_the_captions_is_one_line_that_says_where_to_put_them(
    tmp_path, monkeypatch
):
    def page(url, part, may_resume):
        assert "resourcekey=" in url
        part.write_text("<!doctype html><html>Sign in</html>")

    monkeypatch.setattr("fieldmark.datasets.acquire.download._fetch", page)
    with refused(r"a web page .* put it at .*cvpr2016_cub\.tar\.gz"):
        captions.download_captions("cvpr2016_cub.tar.gz", tmp_path)
