"""FRPT's evaluation: numbers equal the public metrics, claims follow from them, every figure is written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, train_variants
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.evaluation import retrieval_metrics
from fieldmark.evaluation.retrieval import rank_queries
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.evaluation.warps import chosen_queries
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.results.schema import MethodResult
from fieldmark.runtime.inference import run_over

Make = Callable[..., FrptParams]


def models(task: Task, own: FrptParams) -> dict[str, Frpt]:
    """Untrained models whose prompts and heads differ."""
    found = {}
    for seed, (name, one) in enumerate(Frpt.variants(own).items()):
        found[name] = Frpt.build(one, task)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in found[name].parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


def test_numbers_equal_the_public_metrics(task: Task, params: Make, folder: Path) -> None:
    own = params()
    trained = models(task, own)
    result = evaluate(trained, own, task, folder)
    assert list(result["variants"]) == list(own.variants) == result["variant_order"]
    test = task.subset("test")
    for name, model in trained.items():
        vectors = run_over(model, model.embed, task, test, own.images, name)
        expected = retrieval_metrics(vectors, test.labels, ks=task.ks)
        got = result["variants"][name]
        for measure in ("recall@1", "recall@2", "map@r", "r_precision", "map"):
            assert got[measure]["value"] == pytest.approx(expected[measure])
            assert got[measure]["low"] <= got[measure]["value"] <= got[measure]["high"]
        assert got["trained_weights"] == sum(p.numel() for p in model.parameters() if p.requires_grad) - (
            model.classifier.weight.numel() if model.classifier else 0
        )
    assert result["counts"] == {"queries": 18, "skipped": 0, "classes": 3, "training pictures": 18}
    shown = MethodResult.model_validate({"method": "frpt", "split": "s", "dataset": "d", **result})
    assert shown.ordered == list(own.variants)
    json.dumps(result, allow_nan=False)


def test_claims_are_paired_differences(task: Task, params: Make, folder: Path) -> None:
    own = params()
    result = evaluate(models(task, own), own, task, folder)
    recall = {name: one["recall@1"]["value"] for name, one in result["variants"].items()}
    pairs = [claim["decides"].removeprefix("recall@1 of ").split(" minus ") for claim in result["claims"]]
    assert pairs == [
        ["FRPT", "frozen"],
        ["FRPT", "finetune"],
        ["DPP", "frozen"],
        ["FRPT", "CAH"],
        ["CAH", "frozen"],
        ["FRPT", "DPP"],
        ["FRPT", "attention"],
    ]
    for (better, than), claim in zip(pairs, result["claims"], strict=True):
        assert claim["value"] == pytest.approx(recall[better] - recall[than])
        assert claim["verdict"] in ("holds", "does not hold", "undecided")
        assert "Table 1" in claim["paper"]


def test_only_the_claims_of_the_scored_variants(task: Task, params: Make, folder: Path) -> None:
    own = params(variants=["frozen", "CAH"])
    result = evaluate(models(task, own), own, task, folder)
    assert [claim["claim"] for claim in result["claims"]] == ["The head helps the frozen backbone"]
    assert "warps.svg" not in [entry["file"] for entry in json.loads((folder / "figures.json").read_text())]


def test_notes_say_what_a_reader_must_know(task: Task, params: Make, folder: Path) -> None:
    small = params(kernel_size=3, variants=["attention", "FRPT"])
    notes = " ".join(evaluate(models(task, small), small, task, folder)["notes"])
    assert "kernel_size 3 is less than half of the map's 8 places" in notes
    assert "attention and FRPT are one model" in notes
    large = params(pooling="gem", variants=["attention", "FRPT"])
    notes = " ".join(evaluate(models(task, large), large, task, folder)["notes"])
    assert "kernel_size" not in notes
    assert "one model" not in notes


def test_figures_are_written_and_listed_and_the_same_twice(task: Task, params: Make, folder: Path) -> None:
    own = params()
    write_curves(task.history, {"FRPT": [{"step": 10, "lr": 1.0, "cross_entropy": 2.0, "loss": 2.0}] * 3})
    trained = models(task, own)
    evaluate(trained, own, task, folder)
    listed = [entry["file"] for entry in json.loads((folder / "figures.json").read_text())]
    assert listed == [
        "recall.svg",
        "warps.svg",
        "neighbours.svg",
        "similarity.svg",
        "classes.svg",
        "loss.svg",
    ]
    first = {name: (folder / name).read_bytes() for name in listed}
    evaluate(trained, own, task, folder)
    assert first == {name: (folder / name).read_bytes() for name in listed}


def test_right_and_wrong_queries_are_chosen_by_rule() -> None:
    angles = np.radians([0, 2, 40, 41, 90, 95, 130, 131])
    results = rank_queries(
        np.stack([np.cos(angles), np.sin(angles)], 1), [0, 0, 1, 2, 1, 2, 3, 3], neighbours=2
    )
    chosen = chosen_queries(results)
    right = [bool(results.correct[query, 0]) for query in chosen]
    assert right == [True] * 3 + [False] * 3
    assert len(set(chosen)) == 6
    assert chosen_queries(results, of_each=9)[:4] == sorted(chosen_queries(results, of_each=9)[:4])


def test_few_pictures_and_snapshots_are_trained_kept_scored_and_drawn(
    task: Task, params: Make, folder: Path
) -> None:
    own = params(variants=["frozen", "finetune", "FRPT"], shots=[2, 4], shot_steps=2, snapshots=2)
    out = folder.parent / "variants"
    curves = train_variants("frpt", own, task, out, folder.parent / "resume", "k")
    write_curves(task.history, curves)
    assert list(curves) == ["finetune", "FRPT", "finetune-2", "FRPT-2", "finetune-4", "FRPT-4"]
    loaded = {name: load_model(out / name) for name in Frpt.variants(own)}
    assert [path.name for path in loaded["FRPT"].earlier] == ["000001", "000002"]
    assert not loaded["FRPT-2"].earlier
    result = evaluate(loaded, own, task, folder)
    claims = {claim["claim"]: claim["decides"] for claim in result["claims"]}
    assert (
        claims["FRPT beats full fine-tuning with 4 training pictures per class"]
        == "recall@1 of FRPT-4 minus finetune-4"
    )
    assert "2 training pictures per class" in result["variant_titles"]["finetune-2"]
    drawn = {entry["file"] for entry in json.loads((folder / "figures.json").read_text())}
    assert {"steps.svg", "shots.svg"} <= drawn


def test_recall_on_the_way_is_that_of_a_shorter_constant_training(task: Task, params: Make) -> None:
    """A snapshot after one step of three equals a whole training of one step at the same rate."""
    out, root = Path("variants"), Path("resume")
    own = params(variants=["finetune"], snapshots=2)
    train_variants("frpt", own, task, out, root, "long")
    train = own.train.model_copy(update={"steps": 1})
    train_variants(
        "frpt", own.model_copy(update={"train": train, "snapshots": 0}), task, Path("one"), root, "o"
    )
    snapshot, short = load_model(out / "finetune/snapshots/000001"), load_model(Path("one/finetune"))
    for name, value in short.state_dict().items():
        assert torch.equal(value, snapshot.state_dict()[name]), name


def test_a_few_shot_training_sees_those_pictures_only(task: Task, params: Make) -> None:
    few = Frpt.variants(params(variants=["FRPT"], shots=[2]))["FRPT-2"]
    narrowed = Frpt.training_task(few, task).subset("train")
    assert set(np.bincount(narrowed.labels)) == {2}
    assert set(narrowed.rows) < set(task.subset("train").rows)
    with pytest.raises(UserError, match="shots: 99 is more than"):
        Frpt.training_task(few.model_copy(update={"shots": (99,)}), task)
