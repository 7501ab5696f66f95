"""The items of `datasets:`: the source's own block, the defaults, and what is refused."""

from typing import Any

import pytest

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.sources.folder import FolderParams

FOLDER = {"source": "folder", "folder": {"path": "photos"}}


def read(item: Any, name: str = "birds") -> DatasetParams:
    return Configuration({"datasets": {name: item}}).item("datasets", name, DatasetParams)


def test_reads_the_sources_own_block_and_the_defaults():
    params = read({**FOLDER, "side": 64, "expect": {"min_side": 8}})
    assert params.settings == FolderParams(path="photos")
    assert (params.side, params.shape, params.encoding, params.bad_images) == (64, "shorter_side", "jpeg", 0)
    assert (params.expect.min_side, params.expect.max_side) == (8, 10000)


def test_a_source_without_required_settings_may_leave_its_block_out():
    assert read({"source": "cub200"}).settings.path is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**FOLDER, "sise": 64}, r"datasets\.birds\.sise .*did you mean 'side'"),
        ({**FOLDER, "cub200": {}}, r"datasets\.birds\.cub200 \(the source is 'folder'\)"),
        ({**FOLDER, "settings": {}}, r"unknown parameter datasets\.birds\.settings"),
        (
            {"source": "folder", "folder": {"path": "x", "cvs": "l"}},
            r"birds\.folder\.cvs.*did you mean 'csv'",
        ),
        ({"source": "folder"}, r"datasets\.birds\.folder\.path is missing"),
        ({"source": "foldr", "folder": {"path": "x"}}, r"no source 'foldr'; did you mean 'folder'"),
        ({"source": "../../os"}, r"there is no source"),
        ({"folder": {"path": "x"}}, r"datasets\.birds has no 'source'"),
        ({"source": 3}, r"datasets\.birds\.source must be"),
        ({**FOLDER, "side": 0}, r"datasets\.birds\.side"),
        ({**FOLDER, "side": 64, "shape": "round"}, r"datasets\.birds\.shape"),
        (
            {**FOLDER, "shape": "square"},
            r"datasets\.birds: shape square needs a side; where side is null, write",
        ),
        ({**FOLDER, "bad_images": -1}, r"datasets\.birds\.bad_images"),
        ({**FOLDER, "encoding": "gif"}, r"datasets\.birds\.encoding"),
        ({**FOLDER, "expect": {"max_aspct": 2}}, r"birds\.expect\.max_aspct; did you mean 'max_aspect'"),
        ("folder", r"datasets\.birds must be a mapping"),
        (None, r"datasets\.birds must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(item, message):
    with pytest.raises(UserError, match=message) as caught:
        read(item)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../birds", "a/b", "", ".hidden", "two words", 3])
def test_names_that_would_leave_the_data_folder_are_refused(name):
    with pytest.raises(UserError, match="cannot be a name"):
        read(FOLDER, name)


def test_an_unknown_data_set_is_named_with_the_nearest():
    with pytest.raises(UserError, match="no 'bird'; did you mean 'birds'"):
        Configuration({"datasets": {"birds": FOLDER}}).item("datasets", "bird", DatasetParams)
