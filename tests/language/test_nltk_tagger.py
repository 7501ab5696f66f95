"""NLTK's tagger from a folder and by download; where its data is at hand, the built-in tagger against it."""

import hashlib
import json
import urllib.request
import zipfile
from itertools import chain
from pathlib import Path

import nltk.downloader
import pytest
from support.pictures import SHARED

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.captions import read_captions
from fieldmark.language.builtin import BuiltinTagger
from fieldmark.language.chunking import Chunker
from fieldmark.language.nouns import Extractor
from fieldmark.language.perceptron import FILES, FOLDER, PACKAGE, RECORD, NltkTagger, require_tagger
from fieldmark.language.tagging import open_tagger

MODEL = [
    {"bias": {"NN": 1.0, "JJ": 0.0}, "i suffix ish": {"JJ": 5.0, "NN": 0.0}},
    {"a": "DT"},
    ["DT", "JJ", "NN"],
]
CLASSES = ("006", "007", "008", "009", "010")  # the lexicon was made looking at captions of 001 to 005


@pytest.fixture
def data(tmp_path):
    """A folder of NLTK data with a tagger of three tags."""
    folder = tmp_path / "nltk_data" / FOLDER
    folder.mkdir(parents=True)
    for name, content in zip(FILES, MODEL, strict=True):
        (folder / name).write_text(json.dumps(content))
    return tmp_path / "nltk_data"


@pytest.fixture
def site(tmp_path, data, monkeypatch):
    """NLTK's index and package in a local folder, in place of the network; returns the package."""
    archive = tmp_path / "site" / f"{PACKAGE}.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as zipped:
        for name in FILES:
            zipped.write(data / FOLDER / name, f"{PACKAGE}/{name}")
    checks = {name: hashlib.new(name, archive.read_bytes()).hexdigest() for name in ("md5", "sha256")}
    (tmp_path / "site" / "index.xml").write_text(
        f'<nltk_data><packages><package id="{PACKAGE}" name="tagger" subdir="taggers" unzip="1" '
        f'size="{archive.stat().st_size}" unzipped_size="{sum((data / FOLDER / n).stat().st_size for n in FILES)}" '
        f'checksum="{checks["md5"]}" sha256_checksum="{checks["sha256"]}" url="https://example.org/{archive.name}"/>'
        "</packages><collections/></nltk_data>"
    )
    return archive


def test_the_model_in_a_folder_tags(data):
    tagged = open_tagger("nltk", data).tag(["a", "greenish", "bill"])
    assert tagged == [("a", "DT"), ("greenish", "JJ"), ("bill", "NN")]
    assert open_tagger("nltk", data).tag([]) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"does not exist; name a folder of NLTK data"),
        ("{", "is damaged"),
        ("[]", "holds no tagger model"),
    ],
)
def test_a_wrong_folder_is_one_line(data, content, message):
    path = data / FOLDER / FILES[0]
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        NltkTagger(data)
    assert "\n" not in str(caught.value)


def serve(site, monkeypatch):
    """Answer NLTK's downloader from the folder of `site` instead of from the network."""

    def answer(url, *_, **__):
        return urllib.request.urlopen((site.parent / Path(getattr(url, "full_url", url)).name).as_uri())

    monkeypatch.setattr(nltk.downloader, "urlopen", answer)


def test_the_model_is_downloaded_verified_and_not_fetched_again(tmp_path, site, monkeypatch):
    serve(site, monkeypatch)
    require_tagger(tmp_path / "fresh")
    assert NltkTagger(tmp_path / "fresh").tag(["a"]) == [("a", "DT")]
    record = (tmp_path / "fresh" / RECORD).read_text()
    site.unlink()  # a second time needs no network
    require_tagger(tmp_path / "fresh")
    assert (tmp_path / "fresh" / RECORD).read_text() == record


def test_a_changed_model_is_fetched_again(tmp_path, site, monkeypatch):
    serve(site, monkeypatch)
    require_tagger(tmp_path / "fresh")
    changed = tmp_path / "fresh" / FOLDER / FILES[1]
    changed.write_text('{"a": "NN"}')
    require_tagger(tmp_path / "fresh")
    assert json.loads(changed.read_text()) == {"a": "DT"}


def test_an_archive_with_another_checksum_is_refused(tmp_path, site, monkeypatch):
    serve(site, monkeypatch)
    site.write_bytes(site.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="cannot download NLTK's averaged_perceptron_tagger_eng") as caught:
        require_tagger(tmp_path / "fresh")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fresh" / RECORD).exists()


def test_without_a_network_one_line_says_what_to_do(tmp_path, site, monkeypatch):
    serve(site, monkeypatch)
    (site.parent / "index.xml").unlink()
    with pytest.raises(UserError, match=r"cannot download NLTK's .* name it as nltk_data"):
        require_tagger(tmp_path / "fresh")


@pytest.mark.skipif(not (SHARED / "nltk_data").is_dir(), reason="NLTK's data is not here")
def test_the_built_in_tagger_comes_near_the_trained_one_on_captions_it_was_not_made_with():
    builtin, trained, chunker = BuiltinTagger(), NltkTagger(SHARED / "nltk_data"), Chunker()
    ours, theirs = Extractor(builtin, chunker), Extractor(trained, chunker)
    files = [path for path in sorted(SHARED.glob("text_c10/*/*.txt")) if path.parent.name[:3] in CLASSES]
    same = words = both = either = 0
    for path in files[::4]:
        captions = read_captions(path)
        for caption in captions:
            pairs = zip(chain(*ours.tagged(caption)), chain(*theirs.tagged(caption)), strict=True)
            agree = [a == b for a, b in pairs]
            same, words = same + sum(agree), words + len(agree)
        own, other = set(ours.of_captions(captions)), set(theirs.of_captions(captions))
        both, either = both + len(own & other), either + len(own | other)
    assert same / words > 0.88
    assert both / either > 0.7
