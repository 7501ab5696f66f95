"""Each preset of IRT with arms, on a tiny world and tiny networks, from the check to the report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.pipeline import ROOT
from support.tiny import RESNET, VIT

from fieldmark.preflight.presets import with_presets

WORLD = {"part": "species", "classes": 6, "genera": 2, "photographs": 6, "side": 32, "captions": 1, "seed": 0}
TRAIN = {"steps": 3, "batch_size": 8, "lr": 1e-3}
NETWORKS = {"deit": "deit_tiny_patch16_224", "resn": "resnet10t"}
CORNERS = ("m1-l0", "m1-l7", "m9-l0", "m9-l7")
GRID = ("O-resnet50", *(f"{net}-{corner}" for net in ("deit", "resnet50") for corner in CORNERS))
KEPT = {"irt-sop-margin": (*GRID, "resnet50-m5-l0")}  # of fifty models enough for each figure and claim
COLLAPSE = "components for 90 % of the energy, R minus L"
CLAIMS = {  # what the arms decide, beside what O, L and R do
    "irt-cub200-models": {
        "recall@1 of L minus L-resnet50",
        "components for 90 % of the energy, L minus L-resnet50",
        "recall@1 of R-distilled minus R",
    },
    "irt-cub200-pooling": {f"recall@1 of L minus L-{name}" for name in ("average", "max", "gem")},
    **{
        f"irt-{data}-losses": {f"recall@1 of L minus deit-{name}" for name in ("nsoftmax", "snca")}
        | {"recall@1 of L minus resnet50-contrastive"}
        | {"components for 90 % of the energy, L minus resnet50-contrastive"}
        for data in ("cub200", "sop")
    },
    "irt-sop-margin": {
        *("recall@1 of R minus deit-m1-l7", "recall@1 of R minus deit-m9-l7"),
        *("recall@1 of L minus resnet50-m5-l0", "components for 90 % of the energy, L minus resnet50-m5-l0"),
    },
}


def shrunken(name: str) -> dict[str, Any]:
    """Return the parameters of a preset with another world, networks of a few thousand weights and three steps."""
    text = with_presets((ROOT / "params.yaml").read_text(), [name], ROOT / "presets")
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    [data] = params["datasets"]
    params["datasets"] = {data: {"source": "world", "world": WORLD, "encoding": "raw"}}
    params["splits"]["retrieval"] = {"dataset": data, "kind": "retrieval", "ks": [1, 2]}
    for item in params["backbones"].values():
        arch = NETWORKS[item["arch"][:4]]
        if "distilled" in item["arch"]:
            arch = arch.replace("tiny", "tiny_distilled")
        options = VIT if arch.startswith("deit") else RESNET
        item |= {"arch": arch, "options": options, "images": {"side": 32}, "weights": None, "train": TRAIN}
    params["irt"]["images"] = {"side": 32}
    params["irt"]["train"] = {**TRAIN, "images_per_class": 4}
    params["irt"]["memory"]["start"] = 1
    params["arms"] = {
        key: arm for key, arm in params["arms"].items() if key in KEPT.get(name, params["arms"])
    }
    for arm in params["arms"].values():
        arm["change"] = {key: 8 if key == "dim" else value for key, value in arm.get("change", {}).items()}
    params["runtime"] = {"device": "cpu", "workers": 0}
    return params


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_preset_with_arms_runs_to_the_report(tmp_path: Path, name: str) -> None:
    params = shrunken(name)
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "data/text").mkdir(parents=True)
    (tmp_path / "data/text/none").touch()
    [data] = params["datasets"]
    stages = [
        *("check", f"download@{data}", f"prepare@{data}", "split@retrieval", f"validate@{data}"),
        *(f"pretrain@{item}" for item in params["backbones"]),
        *("train@irt", *(f"arm@{item}" for item in params["arms"]), "evaluate@irt", "report"),
    ]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/pipeline/one_process.py"), *stages],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list((tmp_path / ".resume").glob("*"))  # complete runs leave no state behind
    result = json.loads((tmp_path / "reports/results/irt.json").read_text())
    rows = [row["name"] for row in result["variants"] if not row["name"].endswith("+dist")]
    assert rows == [*params["irt"]["variants"], *params["arms"]]
    ours = {claim["decides"] for claim in result["claims"]}
    assert ours - {f"recall@1 of R minus {other}" for other in "OL"} - {COLLAPSE} == CLAIMS[name]
    page = (tmp_path / "reports/index.html").read_text()
    assert all(arm in page for arm in params["arms"])
    figures = {path.stem for path in (tmp_path / "reports/figures/irt").glob("*.svg")}
    assert {"energy", "recall"} <= figures
    assert ("gradients" in figures) == ("margin" in figures) == (name == "irt-sop-margin")
