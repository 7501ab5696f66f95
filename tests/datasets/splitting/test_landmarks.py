"""The split of a benchmark: queries, gallery, and what each query should find."""

import json
from pathlib import Path

import pandas as pd
import pytest
from support.landmarks import write_revisited, write_sfm
from support.pictures import dataset
from support.sources import fetched, refused

from fieldmark.base.errors import UserError
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import KINDS, POSITIVES, listed, read_manifest
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.splitting.landmarks import make_landmarks
from fieldmark.evaluation.relevance import Relevance

KIND = SplitParams(dataset="d", kind="landmarks")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, list[object]]]:
    folder = tmp_path_factory.mktemp("benchmark")
    truth = write_revisited(folder / "files", "rparis6k")
    return prepared(folder, "rparis6k"), truth


def prepared(folder: Path, source: str) -> pd.DataFrame:
    params = dataset(source, {"path": str(folder / "files")})
    prepare(fetched(params.open_source(), folder / "raw" / "d"), folder / "out", params)
    return read_manifest(folder / "out" / "manifest.parquet")


def changed(manifest: pd.DataFrame, row: int, **attributes: str | None) -> pd.DataFrame:
    copy = manifest.copy()
    lists = {**json.loads(copy.loc[row, "attributes"]), **attributes}
    copy.loc[row, "attributes"] = json.dumps(
        {key: value for key, value in lists.items() if value is not None}
    )
    return copy


def test_every_picture_takes_part_without_a_class(made: tuple[pd.DataFrame, dict[str, list[object]]]) -> None:
    split = make_landmarks(made[0], KIND)
    assert split["role"].value_counts().to_dict() == {"gallery": 12, "query": 3}
    assert set(split["label"]) == {-1}
    assert set(split["class_name"]) == {""}


def test_relevance_is_the_published(made: tuple[pd.DataFrame, dict[str, list[object]]]) -> None:
    manifest, truth = made
    split = make_landmarks(manifest, KIND)
    sides = [split["id"][split["role"] == role].tolist() for role in ("query", "gallery")]
    assert sides[1] == truth["imlist"]
    names = {kind: listed(manifest, kind) for kind in KINDS}
    found = Relevance.of(names, *sides)
    for kind in ("easy", "hard", "junk"):
        assert getattr(found, kind) == [[int(row) for row in entry[kind]] for entry in truth["gnd"]]  # type: ignore[index]
    backwards = Relevance.of(names, sides[0], sides[1][::-1])
    assert backwards.junk == [[11 - row for row in rows] for rows in found.junk]


def test_it_passes_validation_and_a_query_without_positives_is_a_warning(
    made: tuple[pd.DataFrame, dict[str, list[object]]],
) -> None:
    manifest = made[0]
    params = dataset("rparis6k", {"path": "x"})
    report = validate(manifest, params, {"s": make_landmarks(manifest, KIND)}, {"s": KIND})
    assert all(outcome["success"] for outcome in report["expectations"])
    empty = changed(manifest, 0, easy="", hard="")
    report = validate(empty, params, {"s": make_landmarks(empty, KIND)}, {"s": KIND})
    [failed] = [outcome for outcome in report["expectations"] if not outcome["success"]]
    assert (failed["expectation"], failed["severity"]) == ("every query has something to find", "warning")
    assert failed["ids"] == [manifest["id"][0]]


def test_a_wrong_role_or_label_stops_validation(made: tuple[pd.DataFrame, dict[str, list[object]]]) -> None:
    manifest, params = made[0], dataset("rparis6k", {"path": "x"})
    split = make_landmarks(manifest, KIND)
    wrong = split[split["role"] == "query"].assign(label=0)
    with pytest.raises(UserError, match=r"'there is query and gallery'.*\(and 1 more expectations\)"):
        validate(manifest, params, {"s": wrong}, {"s": KIND})


def test_what_does_not_fit_is_refused_in_one_line(made: tuple[pd.DataFrame, dict[str, list[object]]]) -> None:
    manifest = made[0]
    with refused("lists easy nowhere, which is not in the database"):
        make_landmarks(changed(manifest, 0, easy="nowhere"), KIND)
    with refused("lists no junk photographs"):
        make_landmarks(changed(manifest, 0, junk=None), KIND)
    with refused("the source's split holds 'train'; set kind: retrieval"):
        make_landmarks(manifest.assign(split="train"), KIND)
    with refused("leaves no picture of 12 for query"):
        make_landmarks(manifest[3:], KIND)
    with refused("no split of their own"):
        make_landmarks(manifest.assign(split=None), KIND)


@pytest.mark.parametrize("by", ["images", "classes"])
def test_only_the_source_decides(by: str) -> None:
    with pytest.raises(ValueError, match="does not go with kind: landmarks"):
        SplitParams(dataset="d", kind="landmarks", by=by)  # type: ignore[arg-type]


def test_positives_for_training_are_the_published(tmp_path: Path) -> None:
    lists = write_sfm(tmp_path / "files", models=2, validation=1)["train"]
    found = listed(prepared(tmp_path, "sfm120k"), POSITIVES)
    names = lists["cids"]
    for query, positive in zip(lists["qidxs"], lists["pidxs"], strict=True):
        assert found[names[query]] == [names[positive]]
