"""LOCA learns on one data set and is judged on another, beside networks trained elsewhere: from pictures to the report.

DVC follows: what the judgement reads makes it anew, and trains nothing again.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.clone import clone, command, repro
from support.flaxfile import loca_state, packed

from fieldmark.preflight.presets import with_settings
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone

VIT = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
PLAIN = {"class_token": False, "global_pool": "", "act_layer": "gelu_tanh", "positions": "bilinear"}
OFFICIAL = {**VIT, **PLAIN, "mlp_ratio": 2, "dynamic_img_size": True, "img_size": 32}
PARAMS = f"""\
runtime: {{device: cpu, workers: 0}}
datasets:
  birds:
    source: world
    world: {{part: species, classes: 6, genera: 2, photographs: 6, side: 32, captions: 1, seed: 0}}
    encoding: raw
  scenes:
    source: world
    world: {{part: scenes, classes: 12, genera: 3, photographs: 5, side: 32, captions: 1, seed: 0}}
    encoding: raw
splits:
  classes: {{dataset: birds, kind: classification, test_fraction: 0.3}}
  dense: {{dataset: scenes, kind: dense, test_fraction: 0.3}}
backbones:
  mine:                   # made by an earlier run
    dataset: scenes
    split: dense
    arch: vit_tiny_patch16_224
    options: {json.dumps({**VIT, "img_size": 32})}
    weights: data/pretrained/mine/weights.safetensors
    images: {{side: 32}}
  official:               # as LOCA's authors publish theirs
    dataset: scenes
    split: dense
    arch: vit_tiny_patch16_224
    options: {json.dumps(OFFICIAL)}
    weights: data/pretrained/loca_vtiny
    images: {{side: 32}}
phrases: {{}}
clip_models: {{}}
prompts: {{}}
methods:
  loca: {{dataset: birds, split: classes, backbone: backbones/mine, text: none, region: box}}
distill: {{}}
arms: {{}}
transfer: {{}}
judge:
  loca: {{dataset: scenes, split: dense, backbones: [mine, official]}}
loca:
  variants: [random, LOCA]
  arch: vit_tiny_patch16_224
  options: {json.dumps(VIT)}
  drop_path: 0.0
  views: {{reference_size: 32, random_tokens: 6, focal_count: 2, focal_size: 16}}
  head: {{prototypes: 12, hidden: 16, bottleneck: 8}}
  images: {{side: 32, crop: centre, flip: false}}
  train: {{steps: 3, batch_size: 8, lr: 1e-3}}
  dense:
    images: {{side: 32}}
    loss_stride: 4
    fractions: [0.5, 1.0]
    probe: {{passes: 2, batch_size: 8, lr: 0.1}}
    finetune: {{steps: 2, batch_size: 4, lr: 1e-3}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything computed once; the weights lie where the README tells users to put theirs."""
    folder = tmp_path_factory.mktemp("project")
    clone(folder, PARAMS)
    params = NetworkParams(arch="vit_tiny_patch16_224", options={**VIT, "img_size": 32})
    save_backbone(create_backbone(params, 32), folder / "data/pretrained/mine")
    (folder / "data/pretrained/loca_vtiny").write_bytes(packed(loca_state(16, 2, 1, 8, 4)))
    ran = repro(folder)
    assert {"judge@loca", "train@loca", "evaluate@loca", "report"} <= ran
    return folder


def result(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "reports/results/loca.json").read_text())
    return content


@pytest.mark.slow
def test_it_reaches_the_report(project: Path) -> None:
    found = result(project)
    rows = {variant["name"]: set(variant["measures"]) for variant in found["variants"]}
    dense = {"miou_probe", "miou_probe@50%", "miou_finetune"}
    assert rows == {
        "floor": {"miou_probe", "miou_finetune"},
        **{name: {*dense, "position_accuracy"} for name in ("random", "LOCA")},
        **dict.fromkeys(("mine", "official"), dense),
    }
    assert (found["dataset"], found["counts"]["features judged on"]) == ("birds", "scenes")
    claims = {claim["claim"] for claim in found["claims"]}
    assert "LOCA beats `official`, trained elsewhere, by fine-tuning" in claims
    page = (project / "reports/index.html").read_text()
    assert "vit_tiny_patch16_224, trained elsewhere" in page
    assert "LOCA beats `mine`, trained elsewhere" in (project / "reports/summary.md").read_text() + page
    assert not list((project / ".resume").glob("*/*/state.pt"))


@pytest.mark.slow
def test_dvc_follows_what_is_judged_on_and_beside(project: Path) -> None:
    judged = {"check", "judge@loca", "evaluate@loca", "report"}
    change(project, "judge.loca.backbones=[official]")
    assert repro(project) == judged
    assert "mine" not in {variant["name"] for variant in result(project)["variants"]}
    change(project, "datasets.scenes.world.seed=1")
    ran = repro(project)
    assert judged | {"prepare@scenes", "split@dense"} <= ran
    assert not {"train@loca", "prepare@birds"} & ran
    weights = project / "data/pretrained/loca_vtiny"
    weights.write_bytes(packed(loca_state(16, 2, 1, 8, 4, seed=1)))
    ran = repro(project)
    assert judged | {"pretrain@official"} <= ran
    assert "train@loca" not in ran
    assert repro(project) == set()
    text = (project / "params.yaml").read_text()
    change(project, "judge={}")
    assert repro(project) == {"check", "evaluate@loca", "report"}
    assert {variant["name"] for variant in result(project)["variants"]} == {"floor", "random", "LOCA"}
    assert result(project)["counts"].get("features judged on") is None
    (project / "params.yaml").write_text(text)
    assert repro(project) <= {"check", "judge@loca", "evaluate@loca", "report"}


@pytest.mark.slow
def test_a_model_of_the_last_run_starts_another(project: Path) -> None:
    """Copied first, for the run would make it anew."""
    here, kept = project / "models/loca/variants/LOCA/0", project / "data/pretrained/loca"
    options = json.loads((here / "backbone.json").read_text())["options"]
    change(project, f"backbones.mine.options={json.dumps(options)}")
    change(project, "backbones.mine.weights=models/loca/variants/LOCA/0/weights.safetensors")
    refused = command(project, "python", "src/stages/check.py")
    assert "this run makes models/loca/variants/LOCA/0 anew; copy what is there to" in refused.stderr
    shutil.copytree(here, kept)
    change(project, "backbones.mine.weights=data/pretrained/loca/weights.safetensors")
    assert "pretrain@mine" in repro(project, "pretrain@mine")
    taken = project / "models/backbones/mine/weights.safetensors"
    assert taken.read_bytes() == (kept / "weights.safetensors").read_bytes()


def change(folder: Path, *settings: str) -> None:
    path = folder / "params.yaml"
    path.write_text(with_settings(path.read_text(), settings))
