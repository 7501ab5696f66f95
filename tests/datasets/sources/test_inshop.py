import logging

import pytest
from support.pictures import dataset, write_picture
from support.sources import fetched, refused, validated

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.sources import inshop
from fieldmark.datasets.sources.inshop import InShop, InShopParams

STATUSES = {1: ["train"] * 3, 2: ["query", "gallery"], 5: ["query", "gallery", "gallery"], 9: ["train"] * 2}
LIST = "Eval/list_eval_partition.txt"


@pytest.fixture
def twin(tmp_path):
    """Two items for training and two for the test, in the official layout."""
    rows = []
    for item, statuses in STATUSES.items():
        for number, status in enumerate(statuses):
            place = f"img/WOMEN/Dresses/id_{item:08d}/0{number}_1_front.jpg"
            rows.append(f"{place:<60} id_{item:08d} {status}")
            write_picture(tmp_path / "fashion" / "Img" / place, 10 * item + number)
    write_list(tmp_path / "fashion", rows)
    return tmp_path / "fashion"


def write_list(folder, rows, announced=None):
    (folder / LIST).parent.mkdir(exist_ok=True)
    count = len(rows) if announced is None else announced
    (folder / LIST).write_text(f"{count}\nimage_name item_id evaluation_status\n" + "\n".join(rows) + "\n")


def read_list(folder):
    return (folder / LIST).read_text().splitlines()[2:]


def records_of(tmp_path, path):
    return fetched(InShop(InShopParams(path=path)), tmp_path / "raw" / "inshop")


def test_reads_the_official_layout(tmp_path, twin):
    records = records_of(tmp_path, str(twin))
    assert [record.split for record in records] == [one for own in STATUSES.values() for one in own]
    first = records[0]
    assert first.id == "img/WOMEN/Dresses/id_00000001/00_1_front.jpg"
    assert (first.class_name, first.group) == ("id_00000001", "WOMEN/Dresses")
    assert first.image.is_file()
    assert not list((tmp_path / "raw").rglob("*.jpg"))  # nothing is copied


def test_without_a_folder_nothing_is_downloaded_and_one_line_says_what_to_get(tmp_path, monkeypatch):
    monkeypatch.setattr("requests.get", lambda *_, **__: pytest.fail("a download was tried"))
    with refused(r"get Img/img\.zip and Eval/list_eval.* from http.* name the folder"):
        records_of(tmp_path, None)


def test_a_wrong_folder_is_one_line_that_says_what_is_missing(tmp_path, twin):
    with pytest.raises(UserError, match=r"inshop\.path: there is no folder"):
        records_of(tmp_path, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"official layout: Eval/list_eval_partition\.txt is missing"):
        records_of(tmp_path, str(twin / "Img"))
    (twin / "Img" / "img").rename(twin / "Img" / "img_highres")
    with pytest.raises(UserError, match="official layout: Img/img is missing"):
        records_of(tmp_path, str(twin))


def test_a_truncated_or_damaged_list_is_one_line(tmp_path, twin):
    rows = read_list(twin)
    for damaged, announced, message in [
        (rows[:-1], len(rows), "announces 10 pictures and names 9; copy it again"),
        (rows, "many", "announces many pictures and names 10"),
        ([*rows[:-1], "img/WOMEN/Dr"], len(rows), "line 12 should have 3 values"),
        (
            [*rows[:-1], rows[-1].replace("train", "val")],
            len(rows),
            "has the status 'val'; it may be train, query",
        ),
        ([*rows[:-1], rows[0]], len(rows), "names 1 pictures twice"),
    ]:
        write_list(twin, damaged, announced)
        with pytest.raises(UserError, match=message):
            records_of(tmp_path, str(twin))
    assert not (tmp_path / "raw").exists()


def test_missing_pictures_are_named(tmp_path, twin):
    (twin / "Img/img/WOMEN/Dresses/id_00000002/00_1_front.jpg").unlink()
    with pytest.raises(
        UserError, match=r"1 pictures of Eval/list_eval.* are missing: Img/img/WOMEN/Dresses/id_0"
    ):
        records_of(tmp_path, str(twin))


def test_counts_other_than_the_published_are_a_warning(tmp_path, twin, caplog, monkeypatch):
    records_of(tmp_path, str(twin))
    assert "2 pictures of 2 classes for query, the published list has 14218 of 3985" in caplog.text
    caplog.clear()
    monkeypatch.setattr(inshop, "COUNTS", {"train": (5, 2), "query": (2, 2), "gallery": (3, 2)})
    with caplog.at_level(logging.WARNING):
        records_of(tmp_path, str(twin))
    assert caplog.text == ""


def test_queries_and_gallery_run_from_fetch_to_validation(tmp_path, twin):
    params = dataset("inshop", {"path": str(twin)})
    _, splits = validated(tmp_path, params, {"r": SplitParams(dataset="d", kind="retrieval", by="source")})
    split = splits["r"]
    assert split["role"].value_counts().to_dict() == {"train": 5, "gallery": 3, "query": 2}
    labels = split.groupby(["class_name", "role"])["label"].unique().map(list).to_dict()
    assert labels == {  # an item has one label in queries and gallery, and train counts by itself
        ("id_00000001", "train"): [0],
        ("id_00000002", "gallery"): [0],
        ("id_00000002", "query"): [0],
        ("id_00000005", "gallery"): [1],
        ("id_00000005", "query"): [1],
        ("id_00000009", "train"): [1],
    }
