"""What the report says of the files that a data set was made of."""

from fieldmark.reporting.datasets import dataset_view
from fieldmark.reporting.reading import DatasetResult


def details(validation=None, **summary):
    view = dataset_view(
        DatasetResult(name="photos", summary=summary, validation=validation or {}, figures=[])
    )
    return dict(view.details)


def test_files_seen_used_and_left_out_by_reason_and_class():
    left_out = [
        {
            "reason": "no picture by its ending",
            "class": "owl",
            "files": 3,
            "endings": {".heic": 2, ".mov": 1},
        },
        {"reason": "no picture by its ending", "class": None, "files": 1, "endings": {}},
    ]
    told = details(pictures=10, left_out=left_out, lost_classes=["owl"])
    assert told["files"] == "14 seen, 10 used, 4 left out"
    assert told["left out"] == (
        "3 of owl: no picture by its ending (2 .heic, 1 .mov); 1: no picture by its ending"
    )
    assert told["classes without a picture left"] == "owl"


def test_where_nothing_was_left_out_one_row_says_so():
    assert details(pictures=10) == {"files": "10 seen, 10 used, 0 left out"}
    assert details() == {}


def test_pictures_that_take_no_part_in_a_split_are_said():
    validation = {"left_out": {"retrieval": {"pictures": 3, "copies": 2, "ids": ["a.jpg", "b.jpg"]}}}
    assert details(validation)["no part in retrieval"] == (
        "3 pictures, of which 2 equal one in another role of the source's split: a.jpg, b.jpg"
    )
