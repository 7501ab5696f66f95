"""What the report says of an audit."""

import pytest

from fieldmark.base.errors import UserError
from fieldmark.reporting.audit import audit_rows
from fieldmark.reporting.datasets import dataset_view
from fieldmark.reporting.reading import DatasetResult

NONE = {"pairs": 0, "pictures": 0, "conflicts": 0, "across": {}}
EVEN = {
    "shorter_side": [128, 128, 128],
    "longer_side": [128, 128, 128],
    "aspect": 1.0,
    "tiny": {"pictures": 0, "ids": []},
    "elongated": {"pictures": 0, "ids": []},
}
CLEAN = {"compared": 2400, "equal": NONE, "alike": NONE, "sizes": EVEN, "classes": None}


def test_where_nothing_is_odd_it_is_said_in_a_word():
    view = dataset_view(DatasetResult("birds", {}, {}, [], CLEAN))
    assert dict(view.details) == {
        "equal pictures found": "none",
        "pictures that look alike": "none among 2\u202f400 that were compared",
        "size of the originals": "128 x 128 pixels",
    }


def test_copies_conflicts_roles_sizes_and_classes():
    equal = {"pairs": 3, "pictures": 5, "conflicts": 2, "across": {"the source": 4, "mine": 1}}
    sizes = {
        **EVEN,
        "shorter_side": [9, 128, 200],
        "aspect": 7.25,
        "tiny": {"pictures": 9, "ids": ["a", "b"]},
    }
    classes = {"least": ["owl", 1], "most": ["tit", 1400], "single": 3}
    rows = dict(audit_rows({**CLEAN, "equal": equal, "sizes": sizes, "classes": classes}))
    assert rows["equal pictures found"] == (
        "5, 2 of them with several classes, 1 with several roles in mine, 4 with several roles in the source"
    )
    assert (
        rows["size of the originals"] == "9 to 200 x 128 to 128 pixels (median 128 x 128), aspect up to 7.25"
    )
    assert rows["tiny originals"] == "9: a, b, ..."
    assert (
        rows["smallest and largest class"] == "1 pictures (owl) to 1\u202f400 (tit); 3 with a single picture"
    )


def test_without_an_audit_nothing_is_said_and_a_malformed_one_is_named():
    assert audit_rows({}) == []
    with pytest.raises(UserError, match="results/audit: compared"):
        audit_rows({**CLEAN, "compared": "many"})
