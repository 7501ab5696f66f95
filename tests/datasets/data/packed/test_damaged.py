"""Files of the pipeline itself that were cut, emptied or removed by hand: one line that names file and remedy."""

import numpy as np
import pytest
from support.pictures import dataset
from support.sources import fetched, refused
from support.twins import TWINS

from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.sources.world import World, WorldParams

HARMS = {
    "absent": None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: b"\x00" * len(data),
    "without its end": lambda data: data[:-10],
    "text": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
}


def harm(path, how):
    data = path.read_bytes()
    path.unlink()
    if HARMS[how] is not None:
        path.write_bytes(HARMS[how](data))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    source = World(WorldParams(classes=2, genera=1, photographs=1, side=32, captions=1))
    raw = tmp_path_factory.mktemp("world") / "raw"
    source.fetch(raw)
    return source, raw / "photographs.arrow"


@pytest.mark.parametrize("how", HARMS)
def test_a_rendered_world(world, how):
    source, path = world
    whole = path.read_bytes()
    assert len(list(source.records(path.parent))) == 2
    harm(path, how)
    try:
        with refused(r"photographs\.arrow (is damaged .*delete it and run|does not exist)"):
            list(source.records(path.parent))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("name", ["manifest.parquet", "images.arrow", "masks.arrow", "mask_names.json"])
def test_a_prepared_data_set(tmp_path, name, how):
    out = tmp_path / "out"
    params = dataset("masks", TWINS["masks"](tmp_path / "data"))
    prepare(fetched(params.open_source(), tmp_path / "raw/d"), out, params)
    assert open_all(out) == 2
    if how == "absent" and name.startswith("mask"):
        return  # a set without masks is a sound one
    harm(out / name, how)
    with refused(rf"{name} (is damaged; delete|does not exist; run)"):
        open_all(out)


def open_all(folder):
    manifest, store = read_manifest(folder / "manifest.parquet"), ImageStore.open(folder)
    assert store.mask_names == ("sky", "road")
    assert all(np.asarray(store[row]).ndim == 3 for row in manifest["row"])
    assert all(store.mask(row).ndim == 2 for row in manifest["mask_row"])
    return len(manifest)


def test_a_listing_that_was_cut_asks_for_the_download_again(tmp_path):
    params = dataset("sop", TWINS["sop"](tmp_path / "data"))
    source = params.open_source()
    source.fetch(tmp_path / "raw/d")
    harm(tmp_path / "raw/d/source.json", "cut")
    with refused("has changed since it was listed; run `dvc repro --force"):
        list(source.records(tmp_path / "raw/d"))
