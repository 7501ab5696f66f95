"""FRPT's evaluation: numbers equal the public metrics, claims follow from them, every figure is written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.retrieved import check_measures
from support.seeds import of_one_seed

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, load_variants, train_variants
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.evaluation.retrieval import rank_queries
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.evaluation.warps import chosen_queries
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.results.figures import FigureFolder, read_figures

Make = Callable[..., FrptParams]


def models(task: Task, own: FrptParams) -> dict[str, Frpt]:
    """Untrained models whose prompts and heads differ."""
    built = {}
    for seed, variant in enumerate(Frpt.variants(own)):
        built[variant.name] = Frpt.build(variant, task)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in built[variant.name].parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return built


def drawn(figures: FigureFolder) -> dict[str, bytes]:
    """The figures that the report would show, by file in its order."""
    figures.write_index()
    return {figure.entry.file: figure.content for figure in read_figures(figures.folder)}


def test_numbers_equal_the_public_metrics(task: Task, params: Make, figures: FigureFolder) -> None:
    own = params()
    trained = models(task, own)
    result = evaluate(of_one_seed(trained), own, task, figures)
    assert [variant.name for variant in result.variants] == list(own.variants)
    check_measures(result, trained, task)
    for variant in result.variants:
        model = trained[variant.name]
        assert variant.title == model.variant.title
        classifier = model.classifier.weight.numel() if model.classifier else 0
        weights = sum(p.numel() for p in model.parameters() if p.requires_grad) - classifier
        assert variant.measures["trained_weights"].value == weights
    assert result.counts == {"queries": 18, "skipped": 0, "classes": 3, "training pictures": 18}
    assert result.headline == ("recall@1", "map@r", "r_precision", "trained_weights")
    assert list(result.metric_values) == [f"{n}.{m}" for n in own.variants for m in ("recall@1", "map@r")]
    json.dumps(result.model_dump(mode="json"), allow_nan=False)


def test_claims_are_paired_differences(task: Task, params: Make, figures: FigureFolder) -> None:
    own = params()
    result = evaluate(of_one_seed(models(task, own)), own, task, figures)
    recall = {variant.name: variant.measures["recall@1"].value for variant in result.variants}
    pairs = [claim.decides.removeprefix("recall@1 of ").split(" minus ") for claim in result.claims]
    assert pairs == [
        ["FRPT", "frozen"],
        ["FRPT", "finetune"],
        ["DPP", "frozen"],
        ["FRPT", "CAH"],
        ["CAH", "frozen"],
        ["FRPT", "DPP"],
        ["FRPT", "attention"],
    ]
    assert all("Table 1" in claim.paper for claim in result.claims)
    for (better, than), claim in zip(pairs[:-1], result.claims[:-1], strict=True):
        assert claim.value == pytest.approx(recall[better] - recall[than])
    # Under average pooling the last two are one model, whatever was measured of them.
    untestable = result.claims[-1]
    assert (untestable.verdict, untestable.value) == ("not testable here", None)
    assert "one model" in untestable.reason


def test_instance_normalisation_is_tested_where_pooling_sees_it(
    task: Task, params: Make, figures: FigureFolder
) -> None:
    own = params(pooling="gem", variants=["attention", "FRPT"])
    [claim] = evaluate(of_one_seed(models(task, own)), own, task, figures).claims
    assert claim.verdict != "not testable here"
    assert claim.low <= claim.value <= claim.high


def test_only_the_claims_of_the_scored_variants(task: Task, params: Make, figures: FigureFolder) -> None:
    own = params(variants=["frozen", "CAH"])
    result = evaluate(of_one_seed(models(task, own)), own, task, figures)
    assert [claim.claim for claim in result.claims] == ["The head helps the frozen backbone"]
    assert "warps.svg" not in drawn(figures)


def test_notes_say_what_a_reader_must_know(task: Task, params: Make, figures: FigureFolder) -> None:
    small = params(kernel_size=3, variants=["attention", "FRPT"])
    notes = " ".join(evaluate(of_one_seed(models(task, small)), small, task, figures).notes)
    assert "kernel_size 3 is less than half of the map's 8 places" in notes
    assert "attention and FRPT are one model" in notes
    large = params(pooling="gem", variants=["attention", "FRPT"])
    notes = " ".join(evaluate(of_one_seed(models(task, large)), large, task, figures).notes)
    assert "kernel_size" not in notes
    assert "one model" not in notes


def test_figures_are_written_and_listed_and_the_same_twice(
    task: Task, params: Make, figures: FigureFolder
) -> None:
    own = params()
    write_curves(task.history, {"FRPT/0": [{"step": 10, "lr": 1.0, "cross_entropy": 2.0, "loss": 2.0}] * 3})
    trained = models(task, own)
    evaluate(of_one_seed(trained), own, task, figures)
    first = drawn(figures)
    assert list(first) == [
        "recall.svg",
        "warps.svg",
        "activations.svg",
        "neighbours.svg",
        "similarity.svg",
        "classes.svg",
        "loss.svg",
    ]
    again = FigureFolder(figures.folder)
    evaluate(of_one_seed(trained), own, task, again)
    assert drawn(again) == first


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
    task: Task, params: Make, figures: FigureFolder
) -> None:
    own, out = (
        params(variants=["frozen", "finetune", "FRPT"], shots=[2, 4], steps_per_shot=1, snapshots=2),
        Path("m"),
    )
    curves = train_variants("frpt", own, task, out)
    write_curves(task.history, curves)
    trained = ["finetune", "FRPT", "finetune-2", "FRPT-2", "finetune-4", "FRPT-4"]
    assert list(curves) == [f"{name}/0" for name in trained]
    loaded = load_variants("frpt", own, out)
    assert [path.name for path in loaded["FRPT"][0].earlier] == ["000001", "000002"]
    assert not loaded["FRPT-2"][0].earlier
    result = evaluate(loaded, own, task, figures)
    claims = {claim.claim: claim.decides for claim in result.claims}
    assert " of 1 passes; " in claims["FRPT converges faster than full fine-tuning"]
    assert (
        claims["FRPT beats full fine-tuning with 4 training pictures per class"]
        == "recall@1 of FRPT-4 minus finetune-4"
    )
    titles = {variant.name: variant.title for variant in result.variants}
    assert titles["finetune-2"] == "full fine-tuning, cross-entropy, 2 training pictures per class"
    assert list(drawn(figures)) == [
        "recall.svg",
        "warps.svg",
        "activations.svg",
        "neighbours.svg",
        "steps.svg",
        "shots.svg",
        "similarity.svg",
        "classes.svg",
        "loss.svg",
    ]


def test_recall_on_the_way_is_that_of_a_shorter_constant_training(task: Task, params: Make) -> None:
    """A snapshot after one step of three equals a whole training of one step at the same rate."""
    own = params(variants=["finetune"], snapshots=2)
    train_variants("frpt", own, task, Path("long"))
    train = own.train.model_copy(update={"steps": 1})
    fresh = replace(task, states=StateKey(Path("other")))
    train_variants("frpt", own.model_copy(update={"train": train, "snapshots": 0}), fresh, Path("short"))
    snapshot, short = load_model(Path("long/finetune/0/snapshots/000001")), load_model(Path("short/finetune"))
    for name, value in short.state_dict().items():
        assert torch.equal(value, snapshot.state_dict()[name]), name


def test_a_few_shot_training_sees_those_pictures_only(task: Task, params: Make) -> None:
    few = Frpt.named(params(variants=["FRPT"], shots=[2], steps_per_shot=1), "FRPT-2")
    narrowed = Frpt.training_task(few, task).subset("train")
    assert set(np.bincount(narrowed.labels)) == {2}
    assert set(narrowed.rows) < set(task.subset("train").rows)
    with pytest.raises(UserError, match="shots: 99 is more than"):
        Frpt.training_task(
            Frpt.named(params(variants=["FRPT"], shots=[99], steps_per_shot=1), "FRPT-99"), task
        )
