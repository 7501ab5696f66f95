"""LOCA's evaluation: numbers equal slow references, claims follow from them, every figure is written."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.masked import CLASSES, NAMES, masked_task
from support.tiny import SIDE
from torch.nn.functional import interpolate

from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.evaluation import mean_iou
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.methods.loca.evaluation import evaluate
from fieldmark.methods.loca.evaluation.positions import Positions, predict_positions
from fieldmark.methods.loca.evaluation.sheets import GREEN, RED, pasted, principal_colours
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.protocols.dense import feature_maps, fit_probe
from fieldmark.protocols.pairs import Pairs
from fieldmark.results.schema import MethodResult

DENSE = {
    "images": {"side": SIDE},
    "loss_stride": 2,
    "fractions": [0.25, 1.0],
    "probe": {"steps": 20, "batch_size": 8, "lr": 0.1},
    "finetune": {"steps": 3, "batch_size": 8, "lr": 1e-3},
}
VARIANTS = ["random", "supervised", "position", "LOCA", "zhai"]
Made = Callable[..., LocaParams]


@pytest.fixture
def masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures").mkdir()
    return masked_task(tmp_path / "masked")


def models(task: Task, own: LocaParams) -> dict[str, Loca]:
    """Every variant with random weights of its own, as after training."""
    found = {}
    for seed, (name, one) in enumerate(Loca.variants(own).items()):
        torch.manual_seed(seed)
        found[name] = Loca.build(one, task).eval()
    return found


def test_every_part_of_the_result(masked: Task, params: Made, tmp_path: Path) -> None:
    own = params(variants=VARIANTS, dense=DENSE)
    curve = [{"step": 10, "lr": 1.0, "position": 2.0, "loss": 2.0, "prototypes": 0.001, "feature_std": 0.4}]
    write_curves(masked.history, {"LOCA": curve * 2, "position": [{"step": 10, "lr": 1.0, "loss": 2.0}] * 2})
    trained = models(masked, own)
    before = copy.deepcopy(trained["LOCA"].state_dict())
    result = evaluate(trained, own, masked, tmp_path / "figures")
    MethodResult.model_validate(
        json.loads(json.dumps({"method": "loca", "split": "s", "dataset": "d", **result}, allow_nan=False))
    )
    assert list(result["variants"]) == VARIANTS
    rows = result["variants"]
    assert {"miou_probe", "miou_probe@25%", "miou_finetune", "position_accuracy"} == set(rows["LOCA"])
    assert "miou_finetune" not in rows["position"]
    assert "position_accuracy" not in rows["supervised"]
    assert result["headline"] == ["miou_probe", "miou_finetune", "position_accuracy"]
    assert result["counts"]["position chance"] == "1 in 16"
    assert any(note.startswith("LOCA has collapsed") for note in result["notes"])
    assert set(result["class_iou"]["LOCA"]["probe"]) == set(NAMES)
    for name, value in before.items():
        assert torch.equal(trained["LOCA"].state_dict()[name], value), f"evaluation changed {name}"
    listed = [entry["file"] for entry in json.loads((tmp_path / "figures/figures.json").read_text())]
    wanted = "probes finetune masks features positions loss health"
    assert set(listed) == {f"{name}.svg" for name in wanted.split()}
    assert not list((tmp_path / ".resume").rglob("state.pt"))


def test_the_same_twice(masked: Task, params: Made, tmp_path: Path) -> None:
    own = params(variants=["random", "LOCA"], dense={**DENSE, "fractions": [1.0]})
    results = []
    for _ in range(2):
        results.append(evaluate(models(masked, own), own, masked, tmp_path / "figures"))
        results[-1]["figures"] = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert results[0] == results[1]


def test_probes_equal_the_public_measure(masked: Task, params: Made, tmp_path: Path) -> None:
    own = params(variants=["random"], dense={**DENSE, "finetune": None})
    trained = models(masked, own)
    result = evaluate(trained, own, masked, tmp_path / "figures")
    train, test = Pairs.of(masked, "train"), Pairs.of(masked, "test")
    backbone, images = trained["random"].backbone, own.dense.images
    maps = [feature_maps(backbone, pairs, images, "x") for pairs in (train, test)]
    for fraction, key in ((0.25, "miou_probe@25%"), (1.0, "miou_probe")):
        few = train.few(fraction, 0)
        decoder = fit_probe(maps[0][few], train.small_masks(SIDE // 2)[few], CLASSES, own.dense.probe)
        fine = interpolate(decoder(maps[1]), (SIDE, SIDE), mode="bilinear", align_corners=False)
        truth = np.stack([test.mask(index) for index in range(len(test))])
        expected = mean_iou(fine.argmax(1), truth, CLASSES)
        assert result["variants"]["random"][key]["value"] == pytest.approx(expected["miou"])
    assert result["class_iou"]["random"]["probe"]["never"] is None
    fewer = params(variants=["random"], dense={**DENSE, "fractions": [0.25], "finetune": None})
    (row,) = evaluate(trained, fewer, masked, tmp_path / "figures")["variants"].values()
    assert row["miou_probe@25%"] == result["variants"]["random"]["miou_probe@25%"]
    assert list(result["class_iou"]["random"]) == ["probe"]


def test_claims_are_paired_differences_of_what_is_reported(
    masked: Task, params: Made, tmp_path: Path
) -> None:
    own = params(variants=VARIANTS, dense=DENSE)
    result = evaluate(models(masked, own), own, masked, tmp_path / "figures")
    rows = {name: {k: v["value"] for k, v in row.items()} for name, row in result["variants"].items()}
    claims = {claim["claim"]: claim for claim in result["claims"]}
    alone = "Positions across views beat positions in a single picture, by probe"
    pairs = {
        "LOCA beats random initialisation, by fine-tuning": ("miou_finetune", "LOCA", "random"),
        "LOCA beats random initialisation, by probe": ("miou_probe", "LOCA", "random"),
        "LOCA beats pretraining with labels, by fine-tuning": ("miou_finetune", "LOCA", "supervised"),
        "Both losses beat the position loss alone, by probe": ("miou_probe", "LOCA", "position"),
        alone: (
            "miou_probe",
            "position",
            "zhai",
        ),  # neither has the other loss, an averaged teacher or a table
    }
    for claim, (measure, better, than) in pairs.items():
        assert claims[claim]["value"] == pytest.approx(rows[better][measure] - rows[than][measure])
    chance = claims["Positions of unseen pictures are predicted better than by chance"]
    assert chance["value"] == pytest.approx(rows["LOCA"]["position_accuracy"] - 1 / 16)
    assert "A single picture's positions are easier to predict than those across views" in claims


def test_without_masks_only_the_pretext_task_is_scored(masked: Task, params: Made, tmp_path: Path) -> None:
    bare = dataclasses.replace(masked, manifest=masked.manifest.assign(mask_row=-1))
    own = params(variants=["supervised", "LOCA"], dense=DENSE)
    result = evaluate(models(bare, own), own, bare, tmp_path / "figures")
    assert result["headline"] == ["position_accuracy"]
    assert list(result["variants"]) == ["LOCA"]
    assert any("no pictures with masks" in note for note in result["notes"])


def test_eta_variants_are_drawn_and_claimed(masked: Task, params: Made, tmp_path: Path) -> None:
    own = params(variants=["LOCA-0", "LOCA-0.5", "position-0.5"], dense={**DENSE, "finetune": None})
    result = evaluate(models(masked, own), own, masked, tmp_path / "figures")
    assert (tmp_path / "figures/eta.svg").exists()
    [claim] = [c for c in result["claims"] if "Hiding" in c["claim"]]
    assert claim["decides"].endswith("LOCA-0 minus LOCA-0.5")
    assert result["variant_titles"]["LOCA-0.5"] == "position and feature loss, eta 0.5 in place of 0.8"


def test_position_accuracy_counts_patches_of_all_pictures(masked: Task, params: Made) -> None:
    own = params(variants=["LOCA"], dense=DENSE)
    found = predict_positions(models(masked, own), masked)["LOCA"]
    assert found.accuracy.value == pytest.approx(found.correct.sum() / found.valid.sum())
    assert (found.places, len(found.valid)) == (16, 12)
    again = predict_positions(models(masked, own), masked)["LOCA"]
    assert np.array_equal(found.correct, again.correct)


def test_the_interval_of_the_accuracy_resamples_pictures() -> None:
    correct, valid = np.array([10, 0, 5]), np.array([10, 20, 5])
    found = Positions(correct, valid, 16, 0.8, None, None).accuracy  # type: ignore[arg-type]
    assert found.value == pytest.approx(15 / 35)
    assert found.low == 0.0  # every draw is the second picture
    assert found.high == 1.0
    assert isinstance(found, Interval)


def test_patches_are_pasted_where_they_were_put() -> None:
    reference = np.full((32, 32, 3), 200, np.uint8)
    query = np.stack([np.full((16, 16), value, np.uint8) for value in (10, 20, 30)], axis=-1)
    query[:8, :8] = (50, 60, 70)
    true, put = np.array([[0, 5], [-1, 15]]), np.array([[0, 6], [3, 15]])
    sheet = pasted(reference, query, put, true, 8)
    assert sheet[4, 4].tolist() == [50, 60, 70]  # patch 0 in place 0
    assert sheet[0, 0].tolist() == list(GREEN)
    assert sheet[8 + 4, 2 * 8 + 4].tolist() == [10, 20, 30]  # place 6: row 1, column 2
    assert sheet[8, 2 * 8].tolist() == list(RED)
    assert sheet[4, 3 * 8 + 4].tolist() == [70, 70, 70]  # outside the reference: left out, dimmed
    assert sheet[31, 31].tolist() == list(GREEN)


def test_principal_colours_separate_what_differs() -> None:
    maps = torch.zeros(2, 5, 4, 4)
    maps[0, 3] = 4.0
    maps += 0.01 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))
    colours = principal_colours(maps)
    assert colours.shape == (2, 64, 64, 3)
    assert colours[0, ..., 0].mean() > 200 > 50 > colours[1, ..., 0].mean()
    assert np.array_equal(colours, principal_colours(maps))
