import functools
import hashlib
import http.server
import logging
import threading
import zipfile

import pytest
from support.pictures import dataset, write_picture
from support.sources import fetched, refused, validated

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.sources import sop
from fieldmark.datasets.sources.sop import Sop, SopParams

HEADER = "image_id class_id super_class_id path"


@pytest.fixture
def twin(tmp_path):
    """Two classes of bicycles for training, two of sofas for the test, two or three pictures each."""
    folder = tmp_path / "data" / "Stanford_Online_Products"
    lists = {"Ebay_train.txt": [HEADER], "Ebay_test.txt": [HEADER]}
    for label, pictures in enumerate([3, 2, 2, 3], start=1):
        name, category = ("Ebay_train.txt", "bicycle") if label < 3 else ("Ebay_test.txt", "sofa")
        for number in range(pictures):
            place = f"{category}_final/1110{label}_{number}.JPG"
            key = sum(len(lines) - 1 for lines in lists.values()) + 1
            lists[name].append(f"{key} {label} {1 if category == 'bicycle' else 9} {place}")
            write_picture(folder / place, key)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves what lies in the folder `site`, as `file`, in place of the official address."""
    (tmp_path / "site").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr(sop, "URL", f"http://127.0.0.1:{running.server_port}/file")
    yield tmp_path / "site" / "file"
    running.shutdown()
    running.server_close()


def records_of(tmp_path, path):
    return fetched(Sop(SopParams(path=path)), tmp_path / "raw" / "sop")


@pytest.mark.parametrize("inner", ["", ".."])
def test_reads_the_official_layout_from_the_folder_or_its_parent(tmp_path, twin, inner):
    records = records_of(tmp_path, str(twin / inner))
    assert [record.split for record in records] == ["train"] * 5 + ["test"] * 5
    first, last = records[0], records[-1]
    assert first.id == "bicycle_final/11101_0.JPG"
    assert first.image.read_bytes()[:2] == b"\xff\xd8"
    assert (first.class_name, first.group) == ("00001.bicycle", "bicycle")
    assert (last.class_name, last.group) == ("00004.sofa", "sofa")


def test_downloads_verifies_and_unpacks_the_archive(tmp_path, twin, server, monkeypatch):
    with zipfile.ZipFile(server, "w") as archive:
        for path in sorted(twin.rglob("*.*")):
            archive.write(path, path.relative_to(twin.parent))
    monkeypatch.setattr(sop, "SIZE", server.stat().st_size)
    monkeypatch.setattr(sop, "SHA256", hashlib.sha256(server.read_bytes()).hexdigest())
    assert len(records_of(tmp_path, None)) == 10


def test_a_quota_page_in_place_of_the_archive_is_one_line_that_says_what_to_do(tmp_path, server):
    server.write_text("<!DOCTYPE html><html>Too many users have downloaded this file recently.</html>")
    with refused(r"sent a web page .* in a browser and put it at"):
        records_of(tmp_path, None)
    assert not [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]


def test_another_archive_is_refused(tmp_path, server):
    with zipfile.ZipFile(server, "w") as archive:
        archive.writestr("other.txt", "other")
    with pytest.raises(UserError, match="bytes came, 3083860082 were expected"):
        records_of(tmp_path, None)


def test_the_counts_of_a_cut_list_are_a_warning(tmp_path, twin, caplog):
    records_of(tmp_path, str(twin))
    assert "Ebay_train.txt: 5 pictures of 2 classes for train, the published list has 59551 of 11318" in (
        caplog.text
    )


def test_the_official_counts_are_no_warning(tmp_path, twin, caplog, monkeypatch):
    monkeypatch.setattr(sop, "COUNTS", {"train": (5, 2), "test": (5, 2)})
    with caplog.at_level(logging.WARNING):
        records_of(tmp_path, str(twin))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"Ebay_test\.txt: line 1 should be 'image_id class_id super_class_id path'"),
        ("1 2 3\n", r"Ebay_test\.txt: line 1 should be 'image_id"),
        (f"{HEADER}\n", r"Ebay_test\.txt names no picture"),
        (f"{HEADER}\n6 3 9 sofa_final/11103_0.JPG\n7 3 9", r"line 3 should have 4 values, it is '7 3 9'"),
        (f"{HEADER}\n6 3 9 sofa_final/11", "1 pictures of Ebay_train.* are missing: sofa_final/11$"),
        (f"{HEADER}\n6 3 9 ../a.JPG", "names pictures outside it"),
        (f"{HEADER}\n1 1 1 bicycle_final/11101_0.JPG", "names 1 pictures twice: bicycle_final/11101_0.JPG"),
    ],
)
def test_a_damaged_list_is_one_line_and_writes_nothing(tmp_path, twin, text, message):
    (twin / "Ebay_test.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        records_of(tmp_path, str(twin))
    assert not (tmp_path / "raw").exists()


def test_a_wrong_folder_is_one_line_that_says_what_is_missing(tmp_path, twin):
    with pytest.raises(UserError, match=r"sop\.path: there is no folder"):
        records_of(tmp_path, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"official layout: Ebay_train\.txt is missing"):
        records_of(tmp_path, str(twin / "sofa_final"))


def test_the_twin_runs_from_fetch_to_validation(tmp_path, twin):
    params = dataset("sop", {"path": str(twin)})
    _, splits = validated(tmp_path, params, {"r": SplitParams(dataset="d", kind="retrieval", by="source")})
    split = splits["r"]
    assert split.groupby("role")["class_name"].nunique().to_dict() == {"train": 2, "test": 2}
    assert split["label"].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1, 1]  # counted separately in train and test


def test_a_mirrors_layout_two_levels_down_is_read(tmp_path, twin):
    (twin.parent / "kaggle").mkdir()
    twin.rename(twin.parent / "kaggle" / "archive")
    assert len(records_of(tmp_path, str(twin.parent))) == 10
