"""The presets of landmarks, shrunken, from download to report: the stage scripts in one process, data from a server.

The server, on this machine, speaks the official layout of the three data sets; the networks are tiny, the steps few.
"""

import importlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file
from support.landmarks import official_addresses, publish_revisited, publish_sfm, write_revisited, write_sfm
from support.pipeline import ROOT

from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.presets import with_presets, with_settings
from fieldmark.vision.backbones import contiguous

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
RESNET = {"layers": [1, 1, 1, 1], "channels": [4, 4, 8, 8], "stem_width": 8}
SMALL = (
    "irt.images.side=32 irt.train.steps=5 irt.train.batch_size=14 irt.train.lr=1e-3 irt.train.drop_every=2 "
    "irt.tuples={negatives: 5, pairs: 4, pool: 24} runtime={device: cpu, workers: 0}"
)


def settings(name: str, weights: Path) -> list[str]:
    """Return what makes a preset of landmarks small."""
    backbone, options = ("resnet", RESNET) if "resnet" in name else ("deit", VIT)
    arch = {
        "irt-sfm120k-resnet101": "resnet101.tv_in1k",
        "irt-sfm120k-deit-b": "deit_base_distilled_patch16_384",
    }.get(name, "deit_small_patch16_224")
    network = timm.create_model(arch, num_classes=0, **options)
    save_file(contiguous(network.state_dict()), weights)
    item = f"backbones.{backbone}"
    small = [f"{item}.options={json.dumps(options)}", f"{item}.weights={weights}", f"{item}.images.side=32"]
    trained = [part for part in _parted(SMALL) if "sfm" in name or part.startswith(("runtime", "irt.images"))]
    return [*small, *trained]


def _parted(text: str) -> list[str]:
    """Part settings at the blanks that stand before a name, not within a block."""
    parts: list[str] = []
    for word in text.split(" "):
        if "=" in word:
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    return parts


def run(stage: str, item: str, params: Configuration) -> None:
    importlib.import_module(stage).main(item, params)


def reproduce(params: Configuration) -> None:
    """Run every stage of a preset in the order of the pipeline."""
    datasets = list(params.section("datasets"))
    for stage in ("download", "prepare"):
        for name in datasets:
            run(stage, name, params)
    for name in params.section("splits"):
        run("split", name, params)
    for stage in ("validate", "describe"):
        for name in datasets:
            run(stage, name, params)
    for name in params.section("backbones"):
        run("pretrain", name, params)
        run("score", f"backbones/{name}", params)
    run("train", "irt", params)
    for name in ("irt", *(f"transfer/{name}" for name in params.section("transfer"))):
        run("evaluate", name, params)
    importlib.import_module("report").report()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with the official data sets, small, behind their addresses."""
    write_sfm(tmp_path / "sfm", models=8, validation=2)
    write_revisited(tmp_path / "roxford5k", "roxford5k")
    write_revisited(tmp_path / "rparis6k", "rparis6k", inner="paris/louvre")
    publish_sfm(tmp_path / "site", tmp_path / "sfm")
    for name in ("roxford5k", "rparis6k"):
        publish_revisited(tmp_path / "site", name, tmp_path / name)
    (tmp_path / "work").mkdir()
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(str(ROOT / "src/stages"))
    return tmp_path


def composed(folder: Path, name: str, more: Sequence[str] = ()) -> Configuration:
    text = with_presets((ROOT / "params.yaml").read_text(encoding="utf-8"), [name], ROOT / "presets")
    text = with_settings(text, [*settings(name, folder / "weights.safetensors"), *more])
    Path("params.yaml").write_text(text, encoding="utf-8")
    importlib.import_module("check").main()
    return Configuration.read(Path("params.yaml"))


def result(place: str) -> Any:
    return json.loads(Path(f"reports/results/{place}.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more", "rows"),
    [
        ("irt-sfm120k", ["irt.dim=8"], ["O", "L", "R"]),
        ("irt-sfm120k-deit-b", [], ["O", "L", "R", "O+dist", "L+dist", "R+dist"]),
        ("irt-sfm120k-resnet101", ["irt.pooling=rmac"], ["O", "L"]),
    ],
)
def test_training_on_landmarks_from_download_to_report(
    folder: Path, name: str, more: list[str], rows: list[str]
) -> None:
    with official_addresses(folder / "site"):
        reproduce(composed(folder, name, more))
    own = result("irt")
    assert [row["name"] for row in own["variants"]] == rows
    assert (own["split"], own["counts"]["training pictures"]) == ("sfm120k", 32)
    for place in ("roxford5k", "rparis6k"):
        judged = result(f"transfer/{place}")
        assert [row["name"] for row in judged["variants"]] == rows
        assert (judged["method"], judged["split"], judged["counts"]["queries"]) == ("irt", place, 3)
        assert judged["headline"] == ["map_medium", "map_hard", "mp@10_medium", "mp@10_hard"]
        for row in judged["variants"]:
            for measure in judged["headline"]:
                value = row["measures"][measure]
                assert 0 <= value["low"] <= value["value"] <= value["high"] <= 1
    summary = Path("reports/summary.md").read_text(encoding="utf-8")
    assert "judged on roxford5k" in summary
    assert "judged on rparis6k" in summary
    page = Path("reports/index.html").read_text(encoding="utf-8")
    assert f"Queries and what they find, {rows[-1].removesuffix('+dist')}" in page
    assert page.count('class="method"') == 3  # IRT on its own split, and on each benchmark
    trained = Path("reports/history/irt/L/0.csv").read_text(encoding="utf-8")
    assert "contrastive" in trained.splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["irt-roxford5k", "irt-rparis6k"])
def test_a_backbone_off_the_shelf_from_download_to_report(folder: Path, name: str) -> None:
    with official_addresses(folder / "site"):
        reproduce(composed(folder, name))
    own = result("irt")
    [row] = own["variants"]
    assert row["name"] == "O"
    backbone = result("backbones/deit")["measures"]
    for measure in ("map_medium", "map_hard"):
        assert row["measures"][measure]["value"] == pytest.approx(backbone[measure]["value"])
    assert own["claims"] == []
    assert Path("reports/index.html").exists()
