"""LOCA's evaluation: numbers equal slow references, claims follow from them, every figure is written."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.masked import CLASSES, NAMES, masked_task
from support.seeds import of_one_seed
from support.tiny import SIDE
from torch.nn.functional import interpolate

from fieldmark.base.errors import UserError
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Judged, Task
from fieldmark.evaluation import mean_iou
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.methods.loca.evaluation import evaluate, tuning
from fieldmark.methods.loca.evaluation.positions import Positions, position_accuracy, predict_positions
from fieldmark.methods.loca.evaluation.probes import floor
from fieldmark.methods.loca.evaluation.sheets import GREEN, RED, pasted, principal_colours
from fieldmark.methods.loca.model.dense import ProbeParams
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.protocols.dense import Segmenter, feature_maps, fine_tune, fit_probe
from fieldmark.protocols.pairs import Pairs
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.results.schema import Evaluation, MethodResult
from fieldmark.vision.backbones import load_backbone

DENSE: dict[str, Any] = {
    "images": {"side": SIDE},
    "loss_stride": 2,
    "fractions": [0.25, 1.0],
    "probe": {"passes": 4, "batch_size": 8, "lr": 0.1},
    "finetune": {"steps": 3, "batch_size": 8, "lr": 1e-3},
}
LONG: dict[str, Any] = {**DENSE, "fractions": [1.0], "finetune": {"steps": 24, "batch_size": 8, "lr": 1e-3}}
VARIANTS = ["random", "supervised", "position", "LOCA", "zhai"]
Made = Callable[..., LocaParams]


@pytest.fixture
def masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return masked_task(tmp_path / "masked")


@pytest.fixture
def figures(tmp_path: Path) -> FigureFolder:
    (tmp_path / "figures").mkdir()
    return FigureFolder(tmp_path / "figures")


def models(task: Task, block: LocaParams, shift: int = 0) -> dict[str, Loca]:
    """Every variant with random weights of its own, as after training."""
    built = {}
    for seed, variant in enumerate(Loca.variants(block), shift):
        torch.manual_seed(seed)
        built[variant.name] = Loca.build(variant, task).eval()
    return built


def beside(task: Task, **backbones: Path) -> Task:
    """The same task with networks trained elsewhere to judge beside the variants."""
    return dataclasses.replace(task, judged=Judged(task, backbones))


def values(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    return {
        variant.name: {name: measure.value for name, measure in variant.measures.items()}
        for variant in evaluation.variants
    }


def test_every_part_of_the_result(masked: Task, params: Made, figures: FigureFolder) -> None:
    block = params(variants=VARIANTS, dense=DENSE)
    curve = [{"step": 10, "lr": 1.0, "position": 2.0, "loss": 2.0, "prototypes": 0.001, "feature_std": 0.4}]
    write_curves(
        masked.history, {"LOCA/0": curve * 2, "position/0": [{"step": 10, "lr": 1.0, "loss": 2.0}] * 2}
    )
    trained = models(masked, block)
    before = copy.deepcopy(trained["LOCA"].state_dict())
    result = evaluate(of_one_seed(trained), block, masked, figures)
    assert (
        MethodResult(method="loca", split="s", dataset="d", **result.model_dump()).variants == result.variants
    )
    rows = values(result)
    assert list(rows) == ["floor", *VARIANTS]
    assert set(rows["floor"]) == {"miou_probe", "miou_finetune"}
    assert {"miou_probe", "miou_probe@25%", "miou_finetune", "position_accuracy"} == set(rows["LOCA"])
    assert "miou_finetune" not in rows["position"]
    assert "position_accuracy" not in rows["supervised"]
    assert result.headline == result.metrics == ("miou_probe", "miou_finetune", "position_accuracy")
    assert result.counts["position chance"] == "1 in 16"
    assert any(note.startswith("LOCA has collapsed") for note in result.notes)
    assert set(result.details["class_iou"]["LOCA"]["probe"]) == set(NAMES)
    for name, value in before.items():
        assert torch.equal(trained["LOCA"].state_dict()[name], value), f"evaluation changed {name}"
    figures.write_index()
    listed = [figure.entry.file for figure in read_figures(figures.folder)]
    wanted = "probes finetune masks features positions loss health"
    assert listed == [f"{name}.svg" for name in wanted.split()]
    assert not list(masked.states.root.rglob("state.pt"))


def test_the_floor_is_one_label_everywhere(masked: Task) -> None:
    train, test = Pairs.of(masked, "train"), Pairs.of(masked, "test")
    seen = np.concatenate([train.mask(index).ravel() for index in range(len(train))])
    label = np.bincount(seen[seen != 255]).argmax()
    true = np.stack([test.mask(index) for index in range(len(test))])
    wanted = mean_iou(np.full_like(true, label), true.copy(), CLASSES)["miou"]
    assert floor(train, test).miou == pytest.approx(wanted)


@pytest.mark.parametrize(("pictures", "steps", "batch"), [(100, 40, 10), (5, 4, 5), (1, 4, 1)])
def test_a_probe_is_as_long_for_few_labels_as_for_many(pictures: int, steps: int, batch: int) -> None:
    recipe = ProbeParams(passes=4, batch_size=10).recipe(pictures)
    assert (recipe.steps, recipe.batch_size) == (steps, batch)


def test_the_same_twice(masked: Task, params: Made, figures: FigureFolder) -> None:
    block = params(variants=["random", "LOCA"], dense={**DENSE, "fractions": [1.0]})
    results = []
    for _ in range(2):
        evaluation = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
        drawn = {path.name: path.read_bytes() for path in figures.folder.iterdir()}
        results.append((evaluation, drawn))
    assert results[0] == results[1]


def test_probes_equal_the_public_measure(masked: Task, params: Made, figures: FigureFolder) -> None:
    block = params(variants=["random"], dense={**DENSE, "finetune": None})
    trained = models(masked, block)
    result = evaluate(of_one_seed(trained), block, masked, figures)
    train, test = Pairs.of(masked, "train"), Pairs.of(masked, "test")
    backbone, images = trained["random"].backbone, block.dense.images
    maps = [feature_maps(backbone, pairs, images, "x") for pairs in (train, test)]
    for fraction, key in ((0.25, "miou_probe@25%"), (1.0, "miou_probe")):
        few = train.few(fraction, 0)
        decoder = fit_probe(
            maps[0][few], train.small_masks(SIDE // 2)[few], CLASSES, block.dense.probe.recipe(len(few))
        )
        fine = interpolate(decoder(maps[1]), (SIDE, SIDE), mode="bilinear", align_corners=False)
        truth = np.stack([test.mask(index) for index in range(len(test))])
        expected = mean_iou(fine.argmax(1), truth, CLASSES)
        assert values(result)["random"][key] == pytest.approx(expected["miou"])
    by_class = result.details["class_iou"]["random"]
    assert by_class["probe"]["never"] is None
    assert list(by_class) == ["probe"]
    fewer = params(variants=["random"], dense={**DENSE, "fractions": [0.25], "finetune": None})
    again = evaluate(of_one_seed(trained), fewer, masked, figures)
    assert again.headline[0] == "miou_probe@25%"
    assert values(again)["random"]["miou_probe@25%"] == values(result)["random"]["miou_probe@25%"]


def test_claims_are_paired_differences_of_what_is_reported(
    masked: Task, params: Made, figures: FigureFolder
) -> None:
    block = params(variants=VARIANTS, dense=DENSE)
    result = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    rows, claims = values(result), {claim.claim: claim for claim in result.claims}
    alone = "Positions across views beat positions in a single picture, by probe"
    pairs = {
        "LOCA beats random initialisation, by fine-tuning": ("miou_finetune", "LOCA", "random"),
        "LOCA beats random initialisation, by probe": ("miou_probe", "LOCA", "random"),
        "LOCA beats pretraining with labels, by fine-tuning": ("miou_finetune", "LOCA", "supervised"),
        "Both losses beat the position loss alone, by probe": ("miou_probe", "LOCA", "position"),
        alone: ("miou_probe", "position", "zhai"),  # neither has the other loss, a teacher or a table
    }
    for claim, (measure, better, than) in pairs.items():
        assert claims[claim].value == pytest.approx(rows[better][measure] - rows[than][measure])
    chance = claims["Positions of unseen pictures are predicted better than by chance"]
    assert chance.value == pytest.approx(rows["LOCA"]["position_accuracy"] - 1 / 16)
    assert "A single picture's positions are easier to predict than those across views" in claims


def test_features_are_judged_on_other_pictures_than_positions(
    masked: Task, params: Made, figures: FigureFolder, tmp_path: Path
) -> None:
    """Positions on the pictures of the training, masks on those of `judged`: as two runs of their own score them."""
    block = params(variants=["random", "LOCA"], dense={**DENSE, "fractions": [1.0]})
    other = masked_task(tmp_path / "other", pictures=20, sides=(40,))
    other = dataclasses.replace(
        other, split_params=masked.split_params.model_copy(update={"dataset": "streets"})
    )
    apart = dataclasses.replace(masked, judged=Judged(other, {"vit": other.backbone}))
    trained = of_one_seed(models(masked, block))
    result = evaluate(trained, block, apart, figures)
    rows, alone = (
        values(result),
        [values(evaluate(trained, block, task, figures)) for task in (masked, other)],
    )
    for name in ("random", "LOCA"):
        assert rows[name]["position_accuracy"] == alone[0][name]["position_accuracy"]
        for measure in ("miou_probe", "miou_finetune"):
            assert rows[name][measure] == alone[1][name][measure] != alone[0][name][measure]
    assert {"miou_probe", "miou_finetune"} == set(rows["vit"])
    assert result.counts["test pictures with a mask"] == 8
    assert result.counts["features judged on"] == "streets"
    assert any(
        note.startswith("Features are judged on `streets`; what is trained here") for note in result.notes
    )
    figures.write_index()
    shown = {figure.entry.file for figure in read_figures(figures.folder)}
    assert {"masks.svg", "features.svg", "positions.svg"} <= shown


def test_what_is_judged_beside_is_what_a_user_would_get(
    masked: Task, params: Made, figures: FigureFolder
) -> None:
    """Scores of a network trained elsewhere, and a claim for each: by hand from its features."""
    block = params(variants=["LOCA"], dense={**DENSE, "fractions": [1.0], "finetune": None})
    several = beside(masked, dino=masked.backbone, supervised=masked.backbone)
    result = evaluate(of_one_seed(models(masked, block)), block, several, figures)
    rows, images = values(result), block.dense.images
    train, test = Pairs.of(masked, "train"), Pairs.of(masked, "test")
    backbone = load_backbone(masked.backbone).eval()
    maps = [feature_maps(backbone, pairs, images, "x") for pairs in (train, test)]
    recipe = block.dense.probe.recipe(len(train))
    decoder = fit_probe(maps[0], train.small_masks(SIDE // 2), CLASSES, recipe)
    fine = interpolate(decoder(maps[1]), (SIDE, SIDE), mode="bilinear", align_corners=False)
    truth = np.stack([test.mask(index) for index in range(len(test))])
    wanted = mean_iou(fine.argmax(1), truth, CLASSES)["miou"]
    assert rows["dino"]["miou_probe"] == rows["supervised"]["miou_probe"] == pytest.approx(wanted)
    gain = pytest.approx(rows["LOCA"]["miou_probe"] - wanted)
    claims = {claim.claim: claim.value for claim in result.claims}
    assert claims["LOCA beats `dino`, trained elsewhere, by probe"] == gain
    assert claims["LOCA beats pretraining with labels, by probe"] == gain
    assert not any("`supervised`" in claim for claim in claims)
    assert any(note.startswith("Trained elsewhere: `dino`, `supervised`.") for note in result.notes)
    assert not any("learns the classes" in note or "judged on" in note for note in result.notes)
    titles = {variant.name: variant.title for variant in result.variants}
    assert titles["dino"] == "vit_tiny_patch16_224, trained elsewhere"


def test_two_seeds_are_scored_each_and_their_mean_is_reported(
    masked: Task, params: Made, figures: FigureFolder
) -> None:
    block = params(variants=["random", "LOCA"], dense={**DENSE, "fractions": [1.0]})
    masked = beside(masked, vit=masked.backbone)  # made once
    first, second = models(masked, block), models(masked, block, shift=7)
    several = {name: [first[name], second[name]] for name in ("random", "LOCA")}
    result = evaluate(several, block, masked, figures)
    alone = [values(evaluate(of_one_seed(one), block, masked, figures)) for one in (first, second)]
    for variant in result.variants:
        for key, measure in variant.measures.items():
            parts = [rows[variant.name][key] for rows in alone]
            assert measure.value == pytest.approx(np.mean(parts))
            assert measure.seeds == (() if variant.name in ("floor", "vit") else pytest.approx(parts))
    [claim] = [one for one in result.claims if one.claim == "LOCA beats random initialisation, by probe"]
    gains = [rows["LOCA"]["miou_probe"] - rows["random"]["miou_probe"] for rows in alone]
    assert claim.seeds == pytest.approx(gains)
    assert claim.low <= min(gains) < max(gains) <= claim.high  # two seeds that differ tell little of a third


def test_without_masks_only_the_pretext_task_is_scored(
    masked: Task, params: Made, figures: FigureFolder
) -> None:
    bare = dataclasses.replace(masked, manifest=masked.manifest.assign(mask_row=-1))
    block = params(variants=["supervised", "LOCA"], dense=DENSE)
    result = evaluate(of_one_seed(models(bare, block)), block, bare, figures)
    assert result.headline == ("position_accuracy",)
    assert list(values(result)) == ["LOCA"]
    assert any("no pictures with masks" in note for note in result.notes)
    with pytest.raises(UserError, match="loca: no pictures with masks, and no variant"):
        evaluate(of_one_seed(models(bare, params(variants=["supervised"]))), block, bare, figures)


def test_eta_variants_are_drawn_and_claimed(masked: Task, params: Made, figures: FigureFolder) -> None:
    etas = [
        "LOCA",
        "LOCA-0",
        "LOCA-0.5",
        "LOCA-0.8",
        "position-0.5",
    ]  # LOCA and LOCA-0.8 lie at the same place
    block = params(variants=etas, dense={**DENSE, "finetune": None})
    result = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    assert (figures.folder / "eta.svg").exists()
    [claim] = [claim for claim in result.claims if "Hiding" in claim.claim]
    assert claim.decides.endswith("LOCA-0 minus LOCA-0.8")
    assert [variant.title for variant in result.variants][3] == (
        "position and feature loss, eta 0.5 in place of 0.8"
    )


def test_fewer_labels_fine_tune_less_and_every_eta_may_be_tuned(
    masked: Task, params: Made, figures: FigureFolder
) -> None:
    """Table 3 and the right half of Figure 3, on crops with a sliding window."""
    tuned = {"passes": 2, "batch_size": 4, "lr": 1e-3, "schedule": "poly", "optimizer": "sgd"}
    dense = {
        **DENSE,
        "windows": {"side": SIDE, "stride": SIDE // 2, "resize": SIDE + 8},
        "finetune": tuned,
        "tuned": None,
        "tuned_fractions": [0.25, 1.0],
        "decoder": "new",
        "drop_path": 0.1,
    }
    block = params(variants=["random", "LOCA-0", "LOCA-0.5"], dense=dense)
    result = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    rows = values(result)
    assert {"miou_finetune", "miou_finetune@25%"} <= set(rows["LOCA-0"]) == set(rows["LOCA-0.5"])
    assert result.headline == ("miou_probe", "miou_finetune", "position_accuracy")
    assert rows["floor"]["miou_finetune"] == rows["floor"]["miou_probe"]
    notes = " ".join(result.notes)
    assert "sliding window (stride 16)" in notes
    assert "2 passes in steps of 4 pictures on 25 % and 100 % of the labels with a new decoder" in notes
    eta = (figures.folder / "eta.svg").read_text(encoding="utf-8")
    assert "mIoU after fine-tuning" in eta


def test_only_what_is_named_is_fine_tuned_and_few_labels_have_a_claim(
    masked: Task, params: Made, figures: FigureFolder
) -> None:
    dense = {**DENSE, "tuned": ["LOCA"], "tuned_fractions": [0.25]}
    block = params(variants=["random", "LOCA"], dense=dense)
    rows = values(evaluate(of_one_seed(models(masked, block)), block, masked, figures))
    assert "miou_finetune@25%" in rows["LOCA"]
    assert not [key for key in rows["random"] if key.startswith("miou_finetune")]
    block = params(variants=["random", "LOCA"], dense={**DENSE, "tuned_fractions": [0.25, 1.0]})
    result = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    rows, claims = values(result), {claim.claim: claim for claim in result.claims}
    for end, key in (("", "miou_finetune"), (" on 25 % of the labels", "miou_finetune@25%")):
        claim = claims[f"LOCA beats random initialisation, by fine-tuning{end}"]
        assert claim.value == pytest.approx(rows["LOCA"][key] - rows["random"][key])


def test_fine_tuning_on_few_labels_sees_these_alone(
    masked: Task, params: Made, figures: FigureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fraction of the labels begins from its own probe, has its own pictures, and as many passes over them."""
    seen = []

    def spied(backbone: Any, begun: Any, pairs: Pairs, *rest: Any) -> Any:
        seen.append((set(pairs.subset.frame["id"]), begun.head.weight.clone(), rest[1].steps, rest[4]))
        return fine_tune(backbone, begun, pairs, *rest)

    monkeypatch.setattr(tuning, "fine_tune", spied)
    finetune = {"passes": 2, "batch_size": 2, "lr": 1e-3}
    block = params(
        variants=["random"], dense={**DENSE, "finetune": finetune, "tuned_fractions": [0.1, 0.25, 1.0]}
    )
    trained = models(masked, block)
    evaluate(of_one_seed(trained), block, masked, figures)
    train = Pairs.of(masked, "train")
    ids = [set(train.taken(train.few(fraction, 0)).subset.frame["id"]) for fraction in (0.1, 0.25, 1.0)]
    assert [pictures for pictures, *_ in seen] == ids
    assert [steps for _, _, steps, _ in seen] == [2, 4, 18]
    assert [run for *_, run in seen] == [f"evaluate-loca/random/0{end}" for end in ("/0.1", "/0.25", "")]
    begun = [weight for _, weight, _, _ in seen]
    assert not torch.equal(begun[1], begun[2])  # the probes of a quarter and of all labels
    assert torch.equal(begun[0], begun[2])  # a tenth has no probe: the one on the most labels


def test_scaling_is_drawn_and_claimed(masked: Task, params: Made, figures: FigureFolder) -> None:
    narrow = {
        "arch": "vit_tiny_patch16_224",
        "options": {"patch_size": 8, "embed_dim": 8, "depth": 1, "num_heads": 2},
    }
    names = ["LOCA", "LOCA@0.5", "LOCA+narrow", "LOCA+narrow@0.5", "LOCA-0"]
    dense = {**DENSE, "fractions": [1.0], "tuned": ["LOCA", "LOCA@0.5"], "finetune": {"steps": 1, "lr": 1e-3}}
    block = params(variants=names, networks={"narrow": narrow}, dense=dense)
    result = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    rows = values(result)
    claims = {claim.decides: claim for claim in result.claims if "gains from" in claim.claim}
    wanted = {
        "mIoU of LOCA minus LOCA@0.5, fine-tuning on the same labels": ("miou_finetune", "LOCA", "LOCA@0.5"),
        "mIoU of LOCA minus LOCA+narrow, probe on the same labels": ("miou_probe", "LOCA", "LOCA+narrow"),
        "mIoU of LOCA+narrow minus LOCA+narrow@0.5, probe on the same labels": (
            *("miou_probe", "LOCA+narrow", "LOCA+narrow@0.5"),
        ),
    }
    assert set(claims) == set(wanted)
    for decides, (measure, better, than) in wanted.items():
        assert claims[decides].value == pytest.approx(rows[better][measure] - rows[than][measure])
    for name, setting in (("pictures", "training pictures"), ("networks", "weights of the encoder")):
        assert setting in (figures.folder / f"{name}.svg").read_text(encoding="utf-8")
    networks = (figures.folder / "networks.svg").read_text(encoding="utf-8")
    assert "all pictures" in networks
    assert "50 % of the pictures" in networks
    assert (figures.folder / "eta.svg").exists()  # LOCA and LOCA-0, and no scaled one among them
    [claim] = [claim for claim in result.claims if "Hiding" in claim.claim]
    assert claim.decides.endswith("LOCA-0 minus LOCA")


class KilledError(Exception):
    """Stands in for a killed process."""


def test_a_killed_fine_tuning_goes_on_and_ends_the_same(
    masked: Task, params: Made, figures: FigureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = params(variants=["random"], dense=LONG)
    whole = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    steps = _killed_once(block, masked, figures, monkeypatch)
    again = evaluate(of_one_seed(models(masked, block)), block, masked, figures)
    assert steps == [*range(16), *range(10, 24)]  # the state after step 10 was taken up
    assert again.variants == whole.variants


@pytest.mark.parametrize("change", ["pictures", "weights", "recipe"])
def test_a_state_of_other_pictures_weights_or_parameters_is_not_taken_up(
    masked: Task, params: Made, figures: FigureFolder, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    block = params(variants=["random"], dense=LONG)
    steps = _killed_once(block, masked, figures, monkeypatch)
    trained = models(masked, block)
    if change == "pictures":
        with (masked.store.folder / "images.arrow").open("ab") as file:
            file.write(b"another store")
    elif change == "weights":
        next(trained["random"].backbone.parameters()).data.add_(0.01)
    else:
        block = params(variants=["random"], dense={**LONG, "finetune": {**LONG["finetune"], "lr": 2e-3}})
    evaluate(of_one_seed(trained), block, masked, figures)
    assert steps == [*range(16), *range(24)]


def _killed_once(
    block: LocaParams, task: Task, figures: FigureFolder, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """Kill an evaluation in step 15 of its fine-tuning; return the list of steps, which later ones add to."""
    steps: list[int] = []

    def step(model: Segmenter, number: int) -> None:
        steps.append(number)
        if len(steps) == 16:
            raise KilledError

    monkeypatch.setattr(Segmenter, "before_step", step)
    with pytest.raises(KilledError):
        evaluate(of_one_seed(models(task, block)), block, task, figures)
    return steps


def test_position_accuracy_counts_patches_of_all_pictures(masked: Task, params: Made) -> None:
    block = params(variants=["LOCA"], dense=DENSE)
    [scored] = predict_positions(of_one_seed(models(masked, block)), masked)["LOCA"]
    assert position_accuracy([scored]).value == pytest.approx(scored.correct.sum() / scored.valid.sum())
    assert (scored.patches, len(scored.valid)) == (16, 12)
    [again] = predict_positions(of_one_seed(models(masked, block)), masked)["LOCA"]
    assert np.array_equal(scored.correct, again.correct)


def test_the_interval_of_the_accuracy_resamples_pictures() -> None:
    correct, valid = np.array([10, 0, 5]), np.array([10, 20, 5])
    accuracy = position_accuracy([Positions(correct, valid, 16, None, None)])  # type: ignore[arg-type]
    assert accuracy.value == pytest.approx(15 / 35)
    assert accuracy.low == 0.0  # every draw is the second picture
    assert accuracy.high == 1.0
    assert isinstance(accuracy, Interval)


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
