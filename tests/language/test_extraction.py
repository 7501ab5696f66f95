"""Phrases of a whole data set, and what the report says of them."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.pictures import manifest
from support.pipeline import ROOT

from fieldmark.datasets.manifest import write_manifest
from fieldmark.datasets.splits import SplitParams, make_split, write_split
from fieldmark.errors import UserError
from fieldmark.language.extraction import check_phrases, describe, extract
from fieldmark.language.params import PhrasesParams, read_phrases_params
from fieldmark.language.phrases import read_phrases

CAPTIONS = [
    ["a red bill and a long tail", "this bird has a red bill"],
    [],
    ["it is a bird", "!?"],
    ["a red tail", "a green crest, white legs"],
]
PARAMS = PhrasesParams(dataset="d", split="s")
NOWHERE = Path("nowhere")
YAML = {
    "datasets": {"d": {"source": "world"}, "e": {"source": "world"}},
    "splits": {"s": {"dataset": "d", "kind": "classification"}},
}


@pytest.fixture
def captioned():
    frame = manifest({"wren": 2, "heron": 2})
    frame["captions"] = pd.Series(CAPTIONS, dtype=object)
    return frame


def test_every_picture_has_its_phrases_and_training_pictures_make_the_vocabulary(captioned):
    found = extract(captioned, ["wren/0", "wren/1", "heron/2"], PARAMS, NOWHERE)
    assert list(found.frame["id"]) == list(captioned["id"])
    assert list(found.frame["row"]) == [0, 1, 2, 3]
    assert list(found.frame["phrases"]) == [
        ["red bill", "long tail"],
        [],
        [],
        ["red tail", "green crest", "white legs"],
    ]
    assert list(found.frame["captions"]) == [[[0, 1], [0]], [], [], [[0], [1], [1]]]
    assert found.vocabulary == ["<pad>", "<unk>"]  # each word of the training pictures occurs once
    once = extract(captioned, ["wren/0"], PhrasesParams(dataset="d", split="s", min_count=1), NOWHERE)
    assert once.vocabulary[2:] == ["bill", "long", "red", "tail"]
    every = extract(captioned, captioned["id"], PARAMS, NOWHERE)
    assert every.vocabulary[2:] == ["red", "tail"]


def test_several_processes_change_nothing(captioned):
    one = extract(captioned, captioned["id"], PARAMS, NOWHERE, processes=1)
    two = extract(captioned, captioned["id"], PARAMS, NOWHERE, processes=2)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    assert one.vocabulary == two.vocabulary


def test_phrases_are_capped_and_generic_ones_dropped(captioned):
    params = PhrasesParams(dataset="d", split="s", max_phrases=1, generic=("red bill",))
    found = extract(captioned, [], params, NOWHERE)
    assert list(found.frame["phrases"]) == [["long tail"], [], ["bird"], ["red tail"]]


def test_the_report_counts_and_shows_a_sample(captioned):
    params = PhrasesParams(dataset="d", split="s", max_phrases=3)
    found = extract(captioned, captioned["id"], params, NOWHERE)
    report = describe(found, captioned, params, NOWHERE)
    assert json.loads(json.dumps(report)) == report
    assert report["counts"] == {
        "pictures": 4,
        "captions": 6,
        "phrases": 5,
        "pictures_without_phrases": 2,
        "pictures_at_the_limit": 1,
        "vocabulary": 4,
    }
    assert report["phrases_per_picture"] == {"least": 0, "mean": 1.25, "most": 3}
    assert report["unknown_words"] == pytest.approx(6 / 10)  # bill, long, green, crest, white, legs
    assert report["frequent"] == [
        [phrase, 1] for phrase in ("green crest", "long tail", "red bill", "red tail", "white legs")
    ]
    assert [one["id"] for one in report["sample"]] == ["wren/0", "heron/2", "heron/3"]
    assert report["sample"][0]["caption"] == "a red bill and a long tail"
    assert report["sample"][0]["tagged"][:3] == [["a", "DT"], ["red", "JJ"], ["bill", "NN"]]
    assert report["sample"][0]["phrases"] == ["red bill", "long tail"]


def test_no_picture_and_no_caption_are_no_trouble(captioned):
    for frame in (captioned[:0], captioned[1:2].reset_index(drop=True)):
        found = extract(frame, frame["id"], PARAMS, NOWHERE)
        report = describe(found, frame, PARAMS, NOWHERE)
        assert (found.vocabulary, report["sample"], report["frequent"]) == (["<pad>", "<unk>"], [], [])
        assert json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"dataset": "d", "split": "t"}, r"phrases\.p\.split: there is no split 't'"),
        ({"dataset": "e", "split": "s"}, r"phrases\.p\.dataset is 'e', but split 's' is of data set 'd'"),
        ({"dataset": "d"}, r"parameter phrases\.p\.split is missing"),
        ({"dataset": "d", "split": "s", "tager": "nltk"}, r"phrases\.p\.tager; did you mean 'tagger'"),
        ({"dataset": "d", "split": "s", "tagger": "spacy"}, r"phrases\.p\.tagger: input should be 'builtin'"),
        ({"dataset": "d", "split": "s", "max_phrases": 0}, r"phrases\.p\.max_phrases"),
        ({"dataset": "d", "split": "s", "grammar": "NP: {<"}, r"grammar: nltk\.RegexpParser refuses"),
    ],
)
def test_wrong_parameters_are_one_line(item, message):
    with pytest.raises(UserError, match=message) as caught:
        check_phrases({**YAML, "phrases": {"p": item}})
    assert "\n" not in str(caught.value)


def test_no_block_and_an_empty_block_mean_no_phrases():
    assert read_phrases_params(YAML) == read_phrases_params({**YAML, "phrases": {}}) == {}


def test_the_stage_writes_phrases_and_report(tmp_path, captioned):
    write_manifest(captioned, tmp_path / "data/prepared/d/manifest.parquet")
    split = make_split(captioned, SplitParams(dataset="d", kind="classification"))
    write_split(split, tmp_path / "data/splits/s.parquet")
    (tmp_path / "params.yaml").write_text(
        "datasets: {d: {source: world}}\nsplits: {s: {dataset: d, kind: classification}}\n"
        "phrases: {p: {dataset: d, split: s, min_count: 1}}\n"
    )

    command = [sys.executable, str(ROOT / "src/stages/phrases.py"), "p"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read_phrases(tmp_path / "data/text/phrases/p")
    trained = set(split.loc[split["role"] == "train", "id"])
    expected = extract(captioned, trained, PhrasesParams(dataset="d", split="s", min_count=1), NOWHERE)
    pd.testing.assert_frame_equal(found.frame, expected.frame)
    assert found.vocabulary == expected.vocabulary
    assert json.loads((tmp_path / "reports/phrases/p.json").read_text())["counts"]["pictures"] == 4
