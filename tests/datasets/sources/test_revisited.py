"""ROxford5k and RParis6k from their official layout and from a server that serves it."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.landmarks import BOX, official_addresses, publish_revisited, write_revisited
from support.sources import fetched, refused

from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.source import load_source

NAMES = ("roxford5k", "rparis6k")


def records_of(folder: Path, path: Path | None, name: str = "roxford5k") -> list[Record]:
    source = load_source(name)
    return fetched(source(source.Params(path=None if path is None else str(path))), folder / "raw" / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inner", ["", "paris/defense"])
def test_queries_and_database_in_the_order_of_the_ground_truth(tmp_path: Path, name: str, inner: str) -> None:
    truth = write_revisited(tmp_path / "data" / name, name, inner=inner)
    for given in (tmp_path / "data", tmp_path / "data" / name):
        records = records_of(tmp_path, given, name)
        queries = [record for record in records if record.split == "query"]
        assert [record.id for record in queries] == [
            f"query/{number:02d}/{key}" for number, key in enumerate(truth["qimlist"])
        ]
        assert [record.id for record in records[3:]] == truth["imlist"]
        assert {record.split for record in records[3:]} == {"gallery"}
        left, top, right, bottom = BOX
        assert queries[0].box == (left, top, right - left, bottom - top)
        for query, entry in zip(queries, truth["gnd"], strict=True):
            for kind in ("easy", "hard", "junk"):
                assert query.attributes[kind].split() == [truth["imlist"][int(row)] for row in entry[kind]]
        assert all(record.box is None and not record.attributes for record in records[3:])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder that is served in place of the official addresses."""
    (tmp_path / "site").mkdir()
    with official_addresses(tmp_path / "site"):
        yield tmp_path / "site"


@pytest.mark.parametrize("name", NAMES)
def test_downloads_and_converts_once(tmp_path: Path, site: Path, name: str) -> None:
    truth = write_revisited(tmp_path / "made", name, inner="" if name == "roxford5k" else "paris/louvre")
    publish_revisited(site, name, tmp_path / "made")
    records = records_of(tmp_path, None, name)
    assert [record.id for record in records[3:]] == truth["imlist"]
    kept = tmp_path / "raw" / ".downloads"
    assert (kept / f"gnd_{name}.pkl.sha256").exists()  # nothing is published: the first download is trusted
    # What is read later is JSON: the pickle may be damaged by then.
    (tmp_path / "raw" / name / f"gnd_{name}.pkl").write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    source = load_source(name)
    assert len(list(source(source.Params()).records(tmp_path / "raw" / name))) == len(records)


def test_another_file_under_the_same_name_is_refused_later(tmp_path: Path, site: Path) -> None:
    write_revisited(tmp_path / "made", "roxford5k")
    publish_revisited(site, "roxford5k", tmp_path / "made")
    records_of(tmp_path, None)
    kept = tmp_path / "raw" / ".downloads" / "gnd_roxford5k.pkl"
    kept.unlink()
    (site / "roxford5k" / kept.name).write_bytes(pickle.dumps({"other": 1}))
    with refused("the SHA-256 is"):
        records_of(tmp_path, None)


def test_a_harmful_ground_truth_stops_before_the_photographs_are_downloaded(
    tmp_path: Path, site: Path
) -> None:
    (site / "roxford5k").mkdir()
    (site / "roxford5k" / "gnd_roxford5k.pkl").write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    with refused("holds more than numbers, texts and arrays"):
        records_of(tmp_path, None)
    assert not (tmp_path / "raw" / "roxford5k").exists()


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth: truth.pop("qimlist"), "should hold imlist, qimlist and gnd"),
        (lambda truth: truth.update(imlist="a"), "imlist should be a list of names"),
        (lambda truth: truth.update(imlist=[]), "imlist should be a list of names"),
        (
            lambda truth: truth["imlist"].__setitem__(0, "../../etc/passwd"),
            "cannot be the name of a photograph",
        ),
        (lambda truth: truth["imlist"].__setitem__(0, "a b"), "cannot be the name of a photograph"),
        (lambda truth: truth["imlist"].__setitem__(0, truth["imlist"][1]), "names roxford5k_.* twice"),
        (
            lambda truth: truth["imlist"].__setitem__(0, "nowhere"),
            "1 photographs of gnd_.* are missing: nowhere",
        ),
        (lambda truth: truth["gnd"].pop(), "an entry for each of the 3 queries"),
        (lambda truth: truth["gnd"].__setitem__(1, []), r"query 1 \(.*should have bbx, easy, hard and junk"),
        (lambda truth: truth["gnd"][1].pop("junk"), r"query 1 \(.*should have bbx, easy, hard and junk"),
        (lambda truth: truth["gnd"][0].update(bbx=[1, 2, 3]), "bbx should be four numbers"),
        (lambda truth: truth["gnd"][0].update(bbx=[1, 2, 3, float("nan")]), "bbx should be four numbers"),
        (lambda truth: truth["gnd"][0].update(bbx=[5, 2, 5, 9]), "bbx has no area"),
        (lambda truth: truth["gnd"][0].update(easy=[12]), "easy should hold indices below 12"),
        (lambda truth: truth["gnd"][0].update(hard=[-1]), "hard should hold indices below 12"),
        (lambda truth: truth["gnd"][0].update(junk=[0.5]), "junk should hold indices below 12"),
        (lambda truth: truth["gnd"][0].update(junk=["0"]), "junk should hold indices below 12"),
        (lambda truth: truth["gnd"][0].update(easy=[3], hard=[3]), "lists roxford5k_00_000003 twice"),
    ],
)
def test_a_damaged_ground_truth_is_one_line_and_writes_nothing(
    tmp_path: Path, change: Change, message: str
) -> None:
    folder = tmp_path / "data"
    truth = write_revisited(folder, "roxford5k")
    change(truth)
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth))
    with refused(message):
        records_of(tmp_path, folder)
    assert not list((tmp_path / "raw").glob("*"))


def test_a_photograph_twice_is_refused(tmp_path: Path) -> None:
    truth = write_revisited(tmp_path / "data", "roxford5k")
    (tmp_path / "data/jpg/copy").mkdir()
    (tmp_path / "data/jpg/copy" / f"{truth['imlist'][0]}.jpg").write_bytes(b"")
    with refused("holds several photographs called roxford5k_00_000000"):
        records_of(tmp_path, tmp_path / "data")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with refused(r"roxford5k\.path: there is no folder"):
        records_of(tmp_path, tmp_path / "nowhere")
    write_revisited(tmp_path / "data", "roxford5k")
    (tmp_path / "data/gnd_roxford5k.pkl").unlink()
    with refused(r"ROxford5k in its official layout: gnd_roxford5k\.pkl is missing"):
        records_of(tmp_path, tmp_path / "data")


def test_a_photograph_added_or_removed_later_is_noticed(tmp_path: Path) -> None:
    truth = write_revisited(tmp_path / "data", "roxford5k")
    records_of(tmp_path, tmp_path / "data")
    source = load_source("roxford5k")
    (tmp_path / "data/jpg" / f"{truth['imlist'][0]}.jpg").write_bytes(b"other")
    with refused("has changed since it was listed"):
        list(source(source.Params(path=str(tmp_path / "data"))).records(tmp_path / "raw/roxford5k"))


def test_other_counts_than_the_published_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_revisited(tmp_path / "data", "roxford5k")
    records_of(tmp_path, tmp_path / "data")
    assert "roxford5k: 3 queries and 12 photographs, the published benchmark has 70 and 4993" in caplog.text
