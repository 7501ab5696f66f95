"""The default world as a source: fetched whole or not at all, read back as rendered, mistakes named."""

import io

import pytest
from PIL import Image

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file
from fieldmark.datasets.sources import world as source
from fieldmark.datasets.sources.world import SOURCE, World

TINY = {"classes": 4, "genera": 2, "photographs": 3, "side": 32, "captions": 2}


def tiny(**changes) -> World:
    return World(parse(World.Params, {**TINY, **changes}, "datasets.birds.world"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "raw"
    tiny().fetch(folder)
    return folder


def test_records_come_in_order_with_everything_promised(raw):
    assert SOURCE is World
    records = list(tiny().records(raw))
    assert [r.id for r in records] == [f"species_{c:03d}/{p:04d}" for c in range(4) for p in range(3)]
    names = {kind.name: kind for kind in tiny().kinds()}
    for record in records:
        kind = names[record.class_name]
        assert record.group == kind.group
        assert dict(record.attributes) == dict(kind.attributes)
        assert len(record.captions) == 2
        assert all(record.captions)
        assert record.box is not None
        assert (
            Image.open(io.BytesIO(record.image)).size == Image.open(io.BytesIO(record.mask)).size == (32, 32)
        )
    assert len({r.image for r in records}) == 12
    assert {r.group for r in records} == {kind.group for kind in names.values()}


@pytest.mark.parametrize(("change", "same"), [({}, True), ({"seed": 1}, False), ({"part": "base"}, False)])
def test_the_same_parameters_give_the_same_file(raw, tmp_path, change, same):
    tiny(**change).fetch(tmp_path / "again")
    assert (sha256_file(raw / source.FILE) == sha256_file(tmp_path / "again" / source.FILE)) is same


def test_fetch_replaces_an_older_world(raw, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "stale").touch()
    tiny().fetch(tmp_path / "raw")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [source.FILE]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def broken(*args):
        yield 0, 0, None

    monkeypatch.setattr(source, "render_all", broken)
    with pytest.raises(AttributeError):
        tiny().fetch(tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_records_of_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match="download"):
        next(tiny().records(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photograps": 3}, "photographs"),
        ({"side": 8}, "side"),
        ({"classes": "many"}, "classes"),
        ({"part": "fish"}, "part"),
        ({"seed": -1}, "seed"),
        ({"captions": 0}, "captions"),
        ({"genera": 5}, "genera must not exceed classes"),
        ({"classes": 60, "genera": 40}, "at most 24 genera"),
        ({"classes": 60, "genera": 2}, "at most 36 classes"),
        ({"part": "base", "genera": 1}, "at least 2 genera"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(change, message):
    with pytest.raises(UserError, match=message) as error:
        tiny(**change)
    assert "\n" not in str(error.value)
