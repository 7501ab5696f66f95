"""Each preset of drawn worlds, with small pictures and networks and few steps, through DVC from check to report.

What a preset asks for stays: its data sets, splits, methods, variants, arms and judges, and two of its seeds. How large
all of it is comes from the preset `quick`.
"""

import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.clone import RUNNING, clone, command
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.preflight.presets import with_presets

QUICK = read_yaml(ROOT / "presets/quick.yaml")
SIDE = QUICK["datasets"]["birds"]["world"]["side"]
VIT = {"stem": "conv", "patch_size": 8, "img_size": SIDE, "embed_dim": 32, "depth": 2, "num_heads": 2}
WORLDS: Mapping[str, Mapping[str, int]] = {
    "species": {"classes": 12, "genera": 4, "photographs": 12},
    "base": {"classes": 12, "genera": 4, "photographs": 12},
    "scenes": {"classes": 12, "genera": 3, "photographs": 40},
    "base_scenes": {"classes": 24, "genera": 3, "photographs": 12},
}
ASKED_FOR = ("variants", "seeds", "students", "stages")  # of a block, whatever its size
FINE_TUNING = {"steps": 3, "batch_size": 8, "lr": 1e-3}
NAMES = ("world-gpu", "world-scratch", "world-pretrain")


def shrunken(name: str) -> dict[str, Any]:
    """Return the parameters of a preset made small."""
    text = with_presets((ROOT / "params.yaml").read_text(), [name], ROOT / "presets")
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    for item in params["datasets"].values():
        item["world"] |= {**WORLDS[item["world"]["part"]], "side": SIDE}
    for item in params["splits"].values():
        item |= {
            key: QUICK["splits"]["longtail"][key] for key in ("imbalance", "head", "tail") if key in item
        }
    for item in params["backbones"].values():
        small = QUICK["backbones"]["resnet"]
        vit = {**small, "arch": item["arch"], "options": VIT, "pooling": item["pooling"]}
        item |= {**(vit if item["arch"].startswith("vit") else small), **_where(item)}
    for item in params["clip_models"].values():
        quick, tower = copy.deepcopy(QUICK["clip_models"]["small"]), item["config"]["vision_cfg"]
        if item.get("image_weights"):  # they are shipped, and of this tower
            quick["config"]["vision_cfg"] = tower
            item["image_weights"] = str(ROOT / item["image_weights"])
        item |= {**quick, **_where(item)}
    for method in params["methods"]:
        params[method] = _small(params[method], QUICK[method])
    for method, item in params["distill"].items():
        params["distill"][method] = _small(item, {**QUICK["distill"][method], **_where(item)})
    if "loca" in params["methods"]:
        params["loca"]["dense"] = {
            **params["loca"]["dense"],
            **QUICK["loca"]["dense"],
            "finetune": FINE_TUNING,
        }
    params["runtime"] = {"device": "cpu", "workers": 0}
    return params


def _where(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return on which pictures an item is trained."""
    return {"dataset": item["dataset"], "split": item["split"]}


def _small(block: dict[str, Any], quick: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {key: value for key, value in quick.items() if key not in ASKED_FOR}
    return {**block, **copy.deepcopy(sizes), "seeds": block.get("seeds", [0])[:2]}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_preset_of_worlds_runs_through_dvc_to_the_report(tmp_path: Path, name: str) -> None:
    params = shrunken(name)
    clone(tmp_path, json.dumps(params))
    run = (sys.executable, "src/stages/repro.py")
    done = command(tmp_path, *run, "--jobs", "2")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert [path.name for path in (tmp_path / ".resume").glob("*") if path.suffix != ".lock"] == []
    page = (tmp_path / "reports/index.html").read_text()
    for method in params["methods"]:
        result = json.loads((tmp_path / f"reports/results/{method}.json").read_text())
        rows = [row["name"] for row in result["variants"]]
        arms = [arm for arm, item in params["arms"].items() if item["method"] == method]
        students = params["distill"].get(method, {}).get("students", [])
        assert {*params[method]["variants"], *arms, *students} <= set(rows)
        assert all(row in page for row in rows)
    again = command(tmp_path, *run)
    assert again.returncode == 0
    assert RUNNING.findall(again.stdout) == []
