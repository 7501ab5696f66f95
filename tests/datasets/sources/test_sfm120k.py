"""Retrieval-SfM-120k from its official layout and from a server that serves it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.landmarks import official_addresses, publish_sfm, write_lists, write_sfm
from support.pictures import dataset
from support.sources import fetched, refused, validated

from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.sources import sfm120k
from fieldmark.datasets.sources.sfm120k import Sfm120k, Sfm120kParams


def records_of(folder: Path, path: Path | None) -> list[Record]:
    given = None if path is None else str(path)
    return fetched(Sfm120k(Sfm120kParams(path=given)), folder / "raw" / "sfm")


def test_models_are_classes_and_queries_name_their_positives(tmp_path: Path) -> None:
    lists = write_sfm(tmp_path / "data/retrieval-SfM-120k")
    for given in (tmp_path / "data", tmp_path / "data/retrieval-SfM-120k"):
        records = records_of(tmp_path, given)
        assert [record.id for record in records] == [*lists["train"]["cids"], *lists["val"]["cids"]]
        assert [record.split for record in records] == ["train"] * 24 + ["test"] * 8
        assert [records[index].class_name for index in (0, 4, 24)] == ["train/0005", "train/0006", "val/0005"]
        assert records[0].attributes == {"positives": lists["train"]["cids"][1]}
        assert records[3].attributes == {"positives": lists["train"]["cids"][0]}


def test_a_query_has_all_its_positives_and_no_query_none(tmp_path: Path) -> None:
    lists = write_sfm(tmp_path / "data")
    lists["train"] |= {"qidxs": [2, 0, 2], "pidxs": [3, 1, 0]}
    write_lists(tmp_path / "data", lists)
    names = lists["train"]["cids"]
    found = {record.id: record.attributes for record in records_of(tmp_path, tmp_path / "data")[:24]}
    assert found[names[2]] == {"positives": f"{names[3]} {names[0]}"}
    assert found[names[0]] == {"positives": names[1]}
    assert found[names[1]] == {}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder that is served in place of the official address."""
    (tmp_path / "site").mkdir()
    with official_addresses(tmp_path / "site"):
        yield tmp_path / "site"


def test_downloads_and_unpacks(tmp_path: Path, site: Path) -> None:
    lists = write_sfm(tmp_path / "made")
    publish_sfm(site, tmp_path / "made")
    records = records_of(tmp_path, None)
    assert [record.id for record in records] == [*lists["train"]["cids"], *lists["val"]["cids"]]
    assert all(isinstance(record.image, Path) and record.image.is_file() for record in records)


def test_wrong_lists_stop_before_the_photographs_are_downloaded(tmp_path: Path, site: Path) -> None:
    (site / "dbs").mkdir()
    (site / "dbs/retrieval-SfM-120k.pkl").write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    with refused("holds more than numbers, texts and arrays"):
        records_of(tmp_path, None)


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lists: lists.pop("val"), "should hold the parts train and val"),
        (lambda lists: lists["train"].pop("cids"), "train should hold the lists cids, cluster, qidxs, pidxs"),
        (lambda lists: lists["val"].update(pidxs=[]), "val should hold the lists"),
        (
            lambda lists: lists["train"]["cids"].__setitem__(0, "../../../x"),
            "cannot be the name of a photograph",
        ),
        (lambda lists: lists["train"]["cids"].__setitem__(0, "short"), "cannot be the name of a photograph"),
        (lambda lists: lists["train"]["cids"].__setitem__(0, 7), "cannot be the name of a photograph"),
        (lambda lists: lists["train"]["cids"].__setitem__(0, "0" * 31 + "x"), "1 pictures of .* are missing"),
        (
            lambda lists: lists["train"]["cids"].__setitem__(0, lists["val"]["cids"][0]),
            "names 1 photographs twice",
        ),
        (lambda lists: lists["train"]["cluster"].pop(), "cids and cluster differ in length"),
        (lambda lists: lists["train"]["pidxs"].pop(), "qidxs and pidxs differ in length"),
        (
            lambda lists: lists["train"]["pidxs"].__setitem__(0, 24),
            "pidxs should hold whole numbers below 24",
        ),
        (
            lambda lists: lists["train"]["qidxs"].__setitem__(0, -1),
            "qidxs should hold whole numbers below 24",
        ),
        (lambda lists: lists["train"]["cluster"].__setitem__(0, "a"), "cluster should hold whole numbers"),
    ],
)
def test_damaged_lists_are_one_line_and_write_nothing(tmp_path: Path, change: Change, message: str) -> None:
    lists = write_sfm(tmp_path / "data")
    change(lists)
    write_lists(tmp_path / "data", lists)
    with refused(message):
        records_of(tmp_path, tmp_path / "data")
    assert not list((tmp_path / "raw").glob("*"))


def test_counts_other_than_the_published_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sfm(tmp_path / "data")
    records_of(tmp_path, tmp_path / "data")
    assert "6 3-D models for train, the published list has 551" in caplog.text
    assert "2 3-D models for val, the published list has 162" in caplog.text
    caplog.clear()
    monkeypatch.setattr(sfm120k, "MODELS", {"train": 6, "val": 2})
    with caplog.at_level(logging.WARNING):
        records_of(tmp_path, tmp_path / "data")
    assert caplog.text == ""


def test_the_twin_runs_from_fetch_to_validation(tmp_path: Path) -> None:
    write_sfm(tmp_path / "data")
    params = dataset("sfm120k", {"path": str(tmp_path / "data")})
    kinds = {"r": SplitParams(dataset="d", kind="retrieval", by="source")}
    _, splits = validated(tmp_path, params, kinds)
    assert splits["r"].groupby("role")["class_name"].nunique().to_dict() == {"train": 6, "test": 2}
