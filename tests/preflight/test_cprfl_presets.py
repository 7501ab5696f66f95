"""The tables of CPRFL's paper: what params.yaml, README and the presets say one can ask for, can be asked for."""

import re
import shlex

import pytest
from ruamel.yaml import YAML
from support.pipeline import ROOT, resolve

from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import load_method
from fieldmark.preflight.check import check_params, read_method
from fieldmark.preflight.presets import with_presets, with_settings

PRESETS = ROOT / "presets"
PAPERS = ("cprfl-coco-lt", "cprfl-voc-lt")


def documented(path):
    """Return the settings of variants that comments of a file name."""
    return re.findall(r"'(cprfl\.variants=\S+)'", path.read_text())


def variants(text):
    params = Configuration(YAML(typ="safe", pure=True).load(text))
    check_params(params)
    block = read_method(params, "cprfl")
    return {variant.name: variant for variant in load_method("cprfl").variants(block)}


@pytest.mark.parametrize("file", ["params.yaml", "README.md", *(f"presets/{name}.yaml" for name in PAPERS)])
def test_every_table_is_one_setting(file):
    settings = documented(ROOT / file)
    base = (ROOT / "params.yaml").read_text()
    if file.startswith("presets"):
        base = with_presets(base, [file.removeprefix("presets/").removesuffix(".yaml")], PRESETS)
    named = [variants(with_settings(base, [setting])) for setting in settings]
    assert len(named) >= (1 if file == "README.md" else 2)
    for asked in named:
        assert len({variant.title for variant in asked.values()}) == len(asked) > 1


@pytest.mark.parametrize("name", PAPERS)
def test_the_tables_have_the_papers_rows(name):
    text = with_presets((ROOT / "params.yaml").read_text(), [name], PRESETS)
    table2, table3, table1 = (
        variants(with_settings(text, [setting])) for setting in documented(PRESETS / f"{name}.yaml")
    )
    assert [variant.parts.loss for variant in table2.values()] == ["BCE", "CB", "DB-0", "DB", "ASL"]
    assert {variant.parts.vectors for variant in table2.values()} == {"clip"}
    steps = [
        (bool(v.parts.vectors), v.parts.vectors and v.parts.nonlinear, v.parts.loss) for v in table3.values()
    ]
    assert steps == [
        (False, None, "focal"),
        (True, False, "focal"),
        (True, True, "focal"),
        (True, True, "ASL"),
    ]
    assert {"BCE", "RW", "CB", "LDAM", "DB", "ASL", "CPRFL"} <= set(table1)


def test_vectors_of_words_are_one_setting(tmp_path):
    """The SET that the preset for one's own photographs documents."""
    [words] = re.findall(r"^#   ('prompts=.*)$", (PRESETS / "cprfl-photos.yaml").read_text(), re.MULTILINE)
    text = with_presets((ROOT / "params.yaml").read_text(), ["cprfl-photos"], PRESETS)
    settings = [*shlex.split(words), "datasets.photos.folder.path=/data/photos"]
    (tmp_path / "params.yaml").write_text(with_settings(text, settings))
    check_params(Configuration.read(tmp_path / "params.yaml"))
    prompts = resolve(tmp_path, tmp_path / "params.yaml")["prompts@photos"]
    assert {"models/clip_models/none", "data/weights/prompts/photos.json"} <= set(prompts.deps)


def test_the_figure_of_prompts_has_the_papers_bars_by_the_papers_recipe():
    base, given = (ROOT / "params.yaml").read_text(), ("glove", "word2vec")
    paths = [f"prompts.{name}.vectors.file=/data/{name}.txt" for name in given]
    text = with_settings(with_presets(base, ["cprfl-coco-lt-prompts"], PRESETS), paths)
    assert [*variants(text)] == ["random", "CPRFL", "CPRFL@ViT-B-16", "CPRFL@glove", "CPRFL@word2vec"]
    figure, table = (
        YAML(typ="safe", pure=True).load(made)
        for made in (text, with_presets(base, ["cprfl-coco-lt"], PRESETS))
    )
    for section in ("datasets", "splits", "backbones"):
        assert figure[section] == table[section]
    differ = {"variants", "prompts"}
    assert {key: value for key, value in figure["cprfl"].items() if key not in differ} == {
        key: value for key, value in table["cprfl"].items() if key not in differ
    }
    assert {figure["prompts"][name]["templates"][0] for name in ("RN50", "ViT-B-16")} == {"a photo of a {}."}
