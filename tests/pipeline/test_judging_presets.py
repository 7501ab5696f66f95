"""Each preset of LOCA that judges on ADE20k, shrunken, from the pictures to the report.

Networks, pictures and lengths of training are small, and networks come from files; all else is as the preset has it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from safetensors.torch import save_file
from support.clone import clone, repro
from support.flaxfile import loca_state, packed
from support.pictures import write_picture
from support.pipeline import ROOT
from support.twins import lines, pair
from support.wired import merged

from fieldmark.preflight.presets import with_presets
from fieldmark.vision.backbones import NetworkParams, contiguous, create_backbone

SIDE = 32
VIT = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
SMALL = {
    "options": VIT,
    "views": {"reference_size": SIDE, "random_tokens": 6, "focal_count": 2, "focal_size": 16},
    "head": {"prototypes": 12, "hidden": 16, "bottleneck": 8},
    "images": {"side": SIDE, "resize": SIDE},
    "dense": {"images": {"side": SIDE}, "fractions": [0.5, 1.0], "probe": {"passes": 1}},
}
OWN = {"loca-imagenet1k": "imagenet", "loca-photos": "photos", "loca-ade20k": None}


def shrunken(name: str, folder: Path) -> dict[str, Any]:
    """Return the parameters of a preset with small pictures and networks; writes both below `folder`."""
    text = with_presets((ROOT / "params.yaml").read_text(encoding="utf-8"), [name], ROOT / "presets")
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    params["runtime"] = {"device": "cpu", "workers": 0}
    params["datasets"]["ade20k"] |= {"side": SIDE, "ade20k": {"path": str(ade20k(folder / "ade"))}}
    if own := OWN[name]:
        params["datasets"][own] |= {
            "side": SIDE,
            "folder": {"path": str(photographs(folder / "own")), "csv": None},
        }
        params["splits"]["classification"]["test_fraction"] = 0.5
    for key, backbone in params["backbones"].items():
        path, options = network(key, folder / key)
        backbone |= {"arch": "vit_tiny_patch16_224", "weights": str(path), "images": {"side": SIDE}}
        backbone["options"] |= options
    loca = merged(params["loca"], SMALL)
    trained = loca["train"].get("steps") != 0  # steps or passes
    kept = {key: value for key, value in loca["train"].items() if "passes" not in key}
    loca["train"] = {**kept, "steps": 2 if trained else 0, "batch_size": 4, "warmup_steps": 0}
    if loca["dense"].get("windows"):
        loca["dense"]["windows"] |= {"side": SIDE, "stride": SIDE, "resize": SIDE}
    if loca["dense"]["finetune"]:
        loca["dense"]["finetune"] |= {"steps": 2, "batch_size": 2}
    return {**params, "loca": loca}


def ade20k(folder: Path) -> Path:
    """Four pictures for training and two for the test, in the official layout."""
    names = [*(f"training/ADE_train_{n}" for n in range(4)), *(f"validation/ADE_val_{n}" for n in range(2))]
    for number, name in enumerate(names):
        pair(folder / f"images/{name}.jpg", folder / f"annotations/{name}.png", number)
    lines(folder / "objectInfo150.txt", "Idx\tRatio\tName", "1\t0.2\twall", "2\t0.1\tbed")
    lines(folder / "sceneCategories.txt", *(f"{name.partition('/')[2]} attic" for name in names))
    return folder


def photographs(folder: Path) -> Path:
    for number in range(12):
        write_picture(folder / ("wren", "owl")[number % 2] / f"{number}.jpg", number)
    return folder


def network(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write weights of a small network: LOCA's as its authors publish them, others as timm names them."""
    folder.mkdir(parents=True)
    options: dict[str, Any] = {**VIT, "img_size": SIDE}
    if name == "LOCA":
        (folder / "loca_vtiny").write_bytes(packed(loca_state(16, 2, 1, 8, SIDE // 8)))
        return folder / "loca_vtiny", {**options, "mlp_ratio": 2}
    made = create_backbone(NetworkParams(arch="vit_tiny_patch16_224", options=options), SIDE)
    save_file(contiguous(made.trunk.get_submodule("network").state_dict()), folder / "w.safetensors")
    return folder / "w.safetensors", options


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_a_preset_runs_from_pictures_to_the_report(name: str, tmp_path: Path) -> None:
    params = shrunken(name, tmp_path)
    clone(tmp_path / "project", json.dumps(params))
    ran = repro(tmp_path / "project")
    assert {"prepare@ade20k", "train@loca", "judge@loca", "evaluate@loca", "report"} <= ran
    result = json.loads((tmp_path / "project/reports/results/loca.json").read_text())
    rows = {variant["name"]: set(variant["measures"]) for variant in result["variants"]}
    judge, loca = params["judge"]["loca"], params["loca"]
    assert list(rows) == ["floor", *loca["variants"], *judge["backbones"]]
    wanted = {"miou_probe"} | ({"miou_finetune"} if loca["dense"]["finetune"] else set())
    assert all(wanted <= row for row in rows.values())
    assert (result["counts"]["features judged on"], result["counts"]["labels"]) == ("ade20k", 2)
    claims = " ".join(claim["claim"] for claim in result["claims"])
    assert "LOCA beats pretraining with labels, by probe" in claims
    assert "LOCA beats `dino`, trained elsewhere, by probe" in claims
    page = (tmp_path / "project/reports/index.html").read_text()
    assert "Trained elsewhere:" in page
