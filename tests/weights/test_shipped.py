"""The networks in data/pretrained: small, what their JSON says, and made by the preset."""

import json

import pytest
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.base.files import sha256_file
from fieldmark.datasets.world.base import make_kinds
from fieldmark.weights.digests import FILE_KEYS

FOLDER = ROOT / "data/pretrained"
PARAMS, PRESET = read_yaml(ROOT / "params.yaml"), read_yaml(ROOT / "presets/world-pretrain.yaml")
NAMED = {
    name: (section, item[key])
    for section, keys in FILE_KEYS.items()
    for key in keys
    for name, item in PARAMS[section].items()
    if item.get(key)
}
MAX_BYTES = 15e6


def told(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_the_default_starts_from_what_is_shipped_and_all_of_it_is_small():
    files = sorted(FOLDER.glob("*.safetensors"))
    assert [path.stem for path in files] == sorted(NAMED) == ["resnet", "small", "vit"]
    assert {ROOT / file for _, file in NAMED.values()} == set(files)
    assert sum(path.stat().st_size for path in files) < MAX_BYTES


@pytest.mark.parametrize("name", NAMED)
def test_each_file_is_what_its_json_says(name):
    origin = told(name)
    assert origin["sha256"] == sha256_file(FOLDER / f"{name}.safetensors")
    assert origin["hours"] > 0
    assert origin["metrics"]


@pytest.mark.parametrize("name", NAMED)
def test_each_was_made_by_the_preset(name):
    section, _ = NAMED[name]
    recipe = told(name)["recipe"]
    item = PRESET[section][name]
    assert recipe[section] == {name: item}
    assert recipe["datasets"] == {item["dataset"]: PRESET["datasets"][item["dataset"]]}
    assert recipe["splits"] == {item["split"]: PRESET["splits"][item["split"]]}


def test_the_backbones_saw_no_class_of_the_default_world():
    pretrained = PRESET["datasets"]["base"]["world"]
    default = PARAMS["datasets"]["birds"]["world"]
    seen, unseen = (
        make_kinds(world["part"], world["seed"], world["classes"], world["genera"])
        for world in (pretrained, default)
    )
    assert len(seen) >= 400
    for told_of in ("name", "group"):
        assert not {getattr(kind, told_of) for kind in seen} & {getattr(kind, told_of) for kind in unseen}
    assert not {kind.attributes["shape"] for kind in seen} & {kind.attributes["shape"] for kind in unseen}
