"""Phrases of a whole data set, and what the report says of them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.clips import tiny_clip
from support.pictures import manifest
from support.pipeline import ROOT

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import write_manifest
from fieldmark.datasets.data.roles.splits import SplitParams, write_split
from fieldmark.datasets.splitting.splits import make_split
from fieldmark.language.extraction import describe, extract
from fieldmark.language.schema import PhrasesParams
from fieldmark.texts.phrases import read_phrases, read_vectors
from fieldmark.towers.clip import save_clip

CAPTIONS = [
    ["a red bill and a long tail", "this bird has a red bill"],
    [],
    ["it is a bird", "!?"],
    ["a red tail", "a green crest, white legs"],
]
PARAMS = PhrasesParams(dataset="d", split="s")
NOWHERE = Path("nowhere")


@pytest.fixture
def captioned():
    frame = manifest({"wren": 2, "heron": 2})
    frame["captions"] = pd.Series(CAPTIONS, dtype=object)
    return frame


def test_every_picture_has_its_phrases_and_training_pictures_make_the_vocabulary(captioned):
    phrases = extract(captioned, ["wren/0", "wren/1", "heron/2"], PARAMS, NOWHERE)
    assert list(phrases.frame["id"]) == list(captioned["id"])
    assert list(phrases.frame["row"]) == [0, 1, 2, 3]
    assert list(phrases.frame["phrases"]) == [
        ["red bill", "long tail"],
        [],
        [],
        ["red tail", "green crest", "white legs"],
    ]
    assert list(phrases.frame["captions"]) == [[[0, 1], [0]], [], [], [[0], [1], [1]]]
    assert phrases.vocabulary == ["<pad>", "<unk>"]  # each word of the training pictures occurs once
    once = extract(captioned, ["wren/0"], PhrasesParams(dataset="d", split="s", min_count=1), NOWHERE)
    assert once.vocabulary[2:] == ["bill", "long", "red", "tail"]
    every = extract(captioned, captioned["id"], PARAMS, NOWHERE)
    assert every.vocabulary[2:] == ["red", "tail"]


def test_several_processes_change_nothing(captioned):
    alone = extract(captioned, captioned["id"], PARAMS, NOWHERE, processes=1)
    shared = extract(captioned, captioned["id"], PARAMS, NOWHERE, processes=2)
    pd.testing.assert_frame_equal(alone.frame, shared.frame)
    assert alone.vocabulary == shared.vocabulary


def test_phrases_are_capped_and_generic_ones_dropped(captioned):
    params = PhrasesParams(dataset="d", split="s", max_phrases=1, generic=("red bill",))
    phrases = extract(captioned, [], params, NOWHERE)
    assert list(phrases.frame["phrases"]) == [["long tail"], [], ["bird"], ["red tail"]]


def test_the_report_counts_and_shows_a_sample(captioned):
    params = PhrasesParams(dataset="d", split="s", max_phrases=3)
    phrases = extract(captioned, captioned["id"], params, NOWHERE)
    report = describe(phrases, captioned, params, NOWHERE)
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
    assert [picture["id"] for picture in report["sample"]] == ["wren/0", "heron/2", "heron/3"]
    assert report["sample"][0]["caption"] == "a red bill and a long tail"
    assert report["sample"][0]["tagged"][:3] == [["a", "DT"], ["red", "JJ"], ["bill", "NN"]]
    assert report["sample"][0]["phrases"] == ["red bill", "long tail"]


def test_no_picture_and_no_caption_are_no_trouble(captioned):
    for frame in (captioned[:0], captioned[1:2].reset_index(drop=True)):
        phrases = extract(frame, frame["id"], PARAMS, NOWHERE)
        report = describe(phrases, frame, PARAMS, NOWHERE)
        assert (phrases.vocabulary, report["sample"], report["frequent"]) == (["<pad>", "<unk>"], [], [])
        assert json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"dataset": "d"}, r"parameter phrases\.p\.split is missing"),
        ({"dataset": "d", "split": "s", "tager": "nltk"}, r"phrases\.p\.tager; did you mean 'tagger'"),
        ({"dataset": "d", "split": "s", "tagger": "spacy"}, r"phrases\.p\.tagger: input should be 'builtin'"),
        ({"dataset": "d", "split": "s", "max_phrases": 0}, r"phrases\.p\.max_phrases"),
        ({"dataset": "d", "split": "s", "clip": None}, r"parameter phrases\.p\.clip"),
    ],
)
def test_wrong_parameters_are_one_line(item, message):
    with pytest.raises(UserError, match=message) as caught:
        Configuration({"phrases": {"p": item}}).item("phrases", "p", PhrasesParams)
    assert "\n" not in str(caught.value)


def run_stage(folder, captioned, clip):
    """Run the stage on four pictures; return their split and the files that it wrote, by name."""
    write_manifest(captioned, folder / "data/prepared/d/manifest.parquet")
    split = make_split(captioned, SplitParams(dataset="d", kind="classification"))
    write_split(split, folder / "data/splits/s.parquet")
    (folder / "params.yaml").write_text(
        "datasets: {d: {source: world}}\nsplits: {s: {dataset: d, kind: classification}}\n"
        f"clip_models: {{tiny: {{}}}}\nphrases: {{p: {{dataset: d, split: s, min_count: 1, clip: {clip}}}}}\n"
    )
    command = [sys.executable, str(ROOT / "src/stages/phrases.py"), "p"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = (folder / "data/text/phrases/p").iterdir()
    return split, {path.name: path.read_bytes() for path in written}


def test_the_stage_writes_phrases_and_report(tmp_path, captioned):
    split, written = run_stage(tmp_path, captioned, "none")
    assert set(written) == {"phrases.parquet", "vocabulary.txt"}
    phrases = read_phrases(tmp_path / "data/text/phrases/p")
    trained = set(split.loc[split["role"] == "train", "id"])
    expected = extract(captioned, trained, PhrasesParams(dataset="d", split="s", min_count=1), NOWHERE)
    pd.testing.assert_frame_equal(phrases.frame, expected.frame)
    assert phrases.vocabulary == expected.vocabulary
    assert json.loads((tmp_path / "reports/results/phrases/p.json").read_text())["counts"]["pictures"] == 4


def test_the_stage_adds_vectors_and_changes_no_phrase(tmp_path, captioned):
    save_clip(tiny_clip(), tmp_path / "models/clip_models/tiny")
    _, without = run_stage(tmp_path, captioned, "none")
    _, written = run_stage(tmp_path, captioned, "tiny")
    assert set(written) - set(without) == {"embedded.txt", "vectors.safetensors"}
    assert {name: written[name] for name in without} == without
    vectors = read_vectors(tmp_path / "data/text/phrases/p")
    said = read_phrases(tmp_path / "data/text/phrases/p").frame["phrases"]
    assert vectors.phrases == sorted({phrase for picture in said for phrase in picture})
    norms = np.linalg.norm(vectors.vectors.astype(float), axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-3)
    _, again = run_stage(tmp_path, captioned, "none")
    assert again == without
