"""CPRFL's evaluation: numbers equal scikit-learn's, claims follow from them, every figure is drawn."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from support.seeds import of_one_seed

from fieldmark.base.errors import UserError
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.methods.cprfl.evaluation import evaluate
from fieldmark.methods.cprfl.evaluation.figures import draw_figures
from fieldmark.methods.cprfl.evaluation.looking import similarities
from fieldmark.methods.cprfl.evaluation.scores import score_model
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.names import TABLE
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.protocols.multilabel import pictures_by_rule, ranking_quality, read_truth, zero_shot
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.results.schema import Evaluation, Measure
from fieldmark.texts.prompts import read_prompts, write_prompts

Make = Callable[..., CprflParams]
NAMES = ["crow", "finch", "heron", "wren"]


def models(task: Task, params: CprflParams) -> dict[str, Cprfl]:
    """Untrained models whose weights differ."""
    built = {}
    for seed, variant in enumerate(Cprfl.variants(params)):
        torch.manual_seed(seed)
        built[variant.name] = Cprfl.build(variant, task).eval()
        built[variant.name].finish(task)
    return built


@pytest.fixture
def grouped(task: Task) -> Task:
    """Groups of categories as they fall among 42 training pictures."""
    return replace(task, split_params=task.split_params.model_copy(update={"head": 25, "tail": 10}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


@pytest.fixture
def figures(folder: Path) -> FigureFolder:
    return FigureFolder(folder)


def drawn(figures: FigureFolder) -> dict[str, bytes]:
    """Return the figures as the report reads them, in its order."""
    figures.write_index()
    return {figure.entry.file: figure.content for figure in read_figures(figures.folder)}


def targets(task: Task) -> np.ndarray:
    labels = task.manifest.set_index("row")["labels"]
    return np.array([[int(name in labels[row]) for name in NAMES] for row in task.subset("test").rows])


def measures(result: Evaluation) -> Mapping[str, Mapping[str, Measure]]:
    return {variant.name: variant.measures for variant in result.variants}


def groups(result: Evaluation) -> dict[str, list[int]]:
    counts = [result.details["categories"][name]["training pictures"] for name in NAMES]
    return {
        "head": [c for c in range(4) if counts[c] >= 25],
        "medium": [c for c in range(4) if 10 <= counts[c] < 25],
        "tail": [c for c in range(4) if counts[c] < 10],
    }


def test_numbers_are_those_of_scikit_learn(grouped: Task, params: Make, figures: FigureFolder) -> None:
    every, truth = params(), targets(grouped)
    trained = models(grouped, every)
    result = evaluate(of_one_seed(trained), every, grouped, figures)
    assert [variant.name for variant in result.variants] == ["zero-shot", *every.variants]
    for name, model in trained.items():
        logits = grouped.run(model, model.logits, grouped.subset("test"), model.params.images, name).numpy()
        ap = [average_precision_score(truth[:, c], logits[:, c]) for c in range(4)]
        measured, categories = measures(result)[name], result.details["categories"]
        assert measured["map"].value == pytest.approx(np.mean(ap))
        assert measured["map"].low <= measured["map"].value <= measured["map"].high
        assert [categories[category]["ap"][name] for category in NAMES] == pytest.approx(ap)
        said = 1 / (1 + np.exp(-logits)) >= model.thresholds.numpy()
        assert measured["of1"].value == pytest.approx(f1_score(truth.ravel(), said.ravel(), zero_division=0))
        means = {g: np.mean([ap[c] for c in m]) for g, m in groups(result).items() if m}
        for group, value in means.items():
            assert measured[group].value == pytest.approx(value)
        sizes = {g: len(m) for g, m in groups(result).items()}
        assert measured["map"].value == pytest.approx(sum(means[g] * sizes[g] for g in means) / 4)


def test_the_report_gets_its_headline_and_dvc_few_measures(
    grouped: Task, params: Make, figures: FigureFolder
) -> None:
    two = params(variants=["ASL", "CPRFL"])
    trained = models(grouped, two)
    result = evaluate(of_one_seed(trained), two, grouped, figures)
    assert result.headline == ("map", "head", "medium", "tail", "of1", "cf1")
    assert [name for name in result.metric_values if name.startswith("CPRFL.")] == ["CPRFL.map", "CPRFL.tail"]
    assert len(result.metric_values) == 6
    titles = {variant.name: variant.title for variant in result.variants}
    assert titles["zero-shot"] == "CLIP without training: cosine of picture and name"
    assert [titles[name] for name in two.variants] == [TABLE[name].title for name in two.variants]
    weights = {name: model.trained_weights for name, model in trained.items()}
    assert result.parameters == {"trained weights": weights}
    passes = 3 * 6 / len(grouped.subset("train"))  # steps x batch size
    told = f"CPRFL trains {weights['CPRFL']:,} weights in {passes:.3g} passes over the pictures"
    assert any(note.startswith(told) and f"classifier {weights['ASL']:,} in" in note for note in result.notes)
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def test_a_group_without_a_category_is_no_headline(task: Task, params: Make, figures: FigureFolder) -> None:
    all_of_the_tail = replace(task, split_params=task.split_params.model_copy(update={"tail": 50}))
    two = params(variants=["ASL", "CPRFL"])
    result = evaluate(of_one_seed(models(all_of_the_tail, two)), two, all_of_the_tail, figures)
    assert result.headline == ("map", "tail", "of1", "cf1")
    none_of_the_tail = replace(task, split_params=task.split_params.model_copy(update={"tail": 1}))
    result = evaluate(of_one_seed(models(none_of_the_tail, two)), two, none_of_the_tail, figures)
    assert result.metrics == ("map",)


def test_counts_and_categories_are_those_of_the_split(
    grouped: Task, params: Make, figures: FigureFolder
) -> None:
    two = params(variants=["ASL", "CPRFL"])
    result = evaluate(of_one_seed(models(grouped, two)), two, grouped, figures)
    in_training = grouped.split["role"].isin(["train", "val"]).to_numpy()
    table = np.array([[name in labels for name in NAMES] for labels in grouped.manifest["labels"]])
    counts = table[in_training].sum(0)
    categories = result.details["categories"]
    assert list(categories) == [NAMES[c] for c in np.argsort(-counts, kind="stable")]
    assert [categories[name]["training pictures"] for name in NAMES] == counts.tolist()
    tested = table[(grouped.split["role"] == "test").to_numpy()].sum(0)
    assert [categories[name]["test pictures"] for name in NAMES] == tested.tolist()
    shown = result.counts
    pictures = [shown[f"{role} pictures"] for role in ("test", "training", "validation")]
    assert pictures == [24, 30, 12]
    assert shown["imbalance"] == counts.max() / counts.min()
    assert shown["of the head"] + shown["of the medium"] + shown["of the tail"] == 4 == shown["categories"]


def test_claims_are_paired_differences(grouped: Task, params: Make, figures: FigureFolder) -> None:
    every = params()
    result = evaluate(of_one_seed(models(grouped, every)), every, grouped, figures)
    measured = measures(result)
    decided = [tuple(claim.decides.split(" of CPRFL minus ")) for claim in result.claims]
    assert decided == [
        ("map", "ASL"),
        ("tail", "ASL"),
        ("map", "linear-PI"),
        ("map", "random"),
        ("map", "DB"),
        ("map", "VSI-path"),
        ("map", "direct-path"),
    ]
    for (measure, than), claim in zip(decided, result.claims, strict=True):
        gain = measured["CPRFL"][measure].value - measured[than][measure].value
        assert claim.value == pytest.approx(gain)
        assert claim.low <= claim.value <= claim.high
        assert claim.verdict in ("holds", "does not hold", "undecided")


def test_a_model_is_no_better_than_itself(task: Task, params: Make, figures: FigureFolder) -> None:
    two = params(variants=["ASL", "CPRFL"])
    trained = models(task, two)
    trained["ASL"] = trained["CPRFL"]
    claim = evaluate(of_one_seed(trained), two, task, figures).claims[0]
    assert (claim.value, claim.low, claim.high) == (0, 0, 0)
    assert claim.verdict == "does not hold"


def test_zero_shot_is_the_cosine_under_thresholds_of_validation(task: Task) -> None:
    prompts, truth = read_prompts(task.text), read_truth(task, NAMES)
    scored = zero_shot(prompts, truth, task, choose_thresholds)
    assert scored is not None
    pictures, names = prompts.image_embeddings.numpy(), prompts.embeddings.numpy()  # type: ignore[union-attr]
    expected = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in names] for a in pictures])
    np.testing.assert_allclose(scored.scores, expected[task.subset("test").rows], rtol=1e-5)
    table = np.array([[int(name in labels) for name in NAMES] for labels in task.manifest["labels"]])
    val = task.subset("val").rows
    np.testing.assert_allclose(scored.thresholds, choose_thresholds(expected[val], table[val]), rtol=1e-4)


def test_without_validation_pictures_the_report_says_so(
    task: Task, params: Make, figures: FigureFolder
) -> None:
    roles = task.split["role"].replace("val", "train")
    linear, bare = params(variants=["ASL"]), task.with_split(task.split.assign(role=roles))
    result = evaluate(of_one_seed(models(bare, linear)), linear, bare, figures)
    assert "of1" in measures(result)["ASL"]
    assert "of1" not in measures(result)["zero-shot"]  # a cosine has no 0.5 to be above
    notes = " ".join(result.notes)
    assert "under a threshold of 0.5" in notes
    assert "chosen on the validation pictures" not in notes


def test_without_picture_embeddings_there_is_no_zero_shot(
    task: Task, params: Make, figures: FigureFolder
) -> None:
    write_prompts(replace(read_prompts(task.text), image_embeddings=None), ["{}"], NAMES, task.text)
    linear = params(variants=["ASL"])
    result = evaluate(of_one_seed(models(task, linear)), linear, task, figures)
    assert list(measures(result)) == ["ASL"]
    assert result.claims == ()
    assert list(drawn(figures)) == ["categories.svg", "scores.svg"]


def test_categories_without_a_test_picture_are_named(task: Task, params: Make, figures: FigureFolder) -> None:
    testing = task.split["role"].to_numpy() == "test"
    bare = [
        [name for name in labels if name != "wren"] if test else labels
        for labels, test in zip(task.manifest["labels"], testing, strict=True)
    ]
    prompted = params(variants=["CPRFL"])
    poorer = replace(task, manifest=task.manifest.assign(labels=bare))
    result = evaluate(of_one_seed(models(poorer, prompted)), prompted, poorer, figures)
    assert result.details["categories"]["wren"]["ap"] == {"zero-shot": None, "CPRFL": None}
    assert "in no mean: wren" in " ".join(result.notes)
    assert "have a cosine of" in " ".join(result.notes)
    assert "passes over the pictures" not in " ".join(result.notes)  # there is no ASL beside it


def test_a_test_without_labels_and_scores_that_are_no_numbers_are_refused(task: Task, params: Make) -> None:
    empty = replace(task, manifest=task.manifest.assign(labels=[[] for _ in range(len(task.manifest))]))
    with pytest.raises(UserError, match="no test picture has a label"):
        read_truth(empty, NAMES)
    broken = models(task, params(variants=["ASL"]))["ASL"]
    torch.nn.init.constant_(broken.head.classifier.bias, float("nan"))  # type: ignore[union-attr, arg-type]
    with pytest.raises(UserError, match="variant ASL gives scores that are not finite"):
        score_model("ASL", broken, read_truth(task, NAMES), SharedFeatures(task))


def test_figures_are_drawn_and_entered_and_the_same_twice(grouped: Task, params: Make, folder: Path) -> None:
    three = params(variants=["ASL", "linear-PI", "CPRFL"])
    point = {"step": 10, "lr": 1.0, "ASL": 2.0, "loss": 2.0}
    write_curves(grouped.history, {"ASL/0": [point] * 3, "CPRFL/0": [point] * 3})
    trained, truth = models(grouped, three), read_truth(grouped, NAMES)
    untrained = zero_shot(read_prompts(grouped.text), truth, grouped, choose_thresholds)
    assert untrained is not None
    scored = {"zero-shot": untrained} | {
        name: score_model(name, model, truth, SharedFeatures(grouped)) for name, model in trained.items()
    }
    contents = []
    for _ in range(2):
        figures = FigureFolder(folder)
        draw_figures(scored, trained, grouped, figures)
        contents.append(drawn(figures))
    first, second = contents
    assert list(first) == [
        "means.svg",
        "parts.svg",
        "categories.svg",
        "scores.svg",
        "attention.svg",
        "prompts.svg",
        "loss.svg",
    ]
    assert first == second
    titles = [first["scores.svg"].index(f">{name}<".encode()) for name in ("zero-shot", "ASL", "CPRFL")]
    assert titles == sorted(titles)  # side by side, picture by picture
    assert not any(b"mathdefault" in content for content in first.values())  # numbers are plain text


def test_the_papers_tables_have_figures_of_their_own(grouped: Task, params: Make, folder: Path) -> None:
    asked = params(variants=["focal", "linear-PI-focal", "CPRFL-focal", "CPRFL", "CPRFL-DB"])
    trained, truth = models(grouped, asked), read_truth(grouped, NAMES)
    features = SharedFeatures(grouped)
    scored = {name: score_model(name, model, truth, features) for name, model in trained.items()}
    figures = FigureFolder(folder)
    draw_figures(scored, trained, grouped, figures)
    written = drawn(figures)

    def shown(file: str) -> list[str]:
        return [name for name in asked.variants if f">{name}<".encode() in written[file]]

    assert shown("losses.svg") == ["CPRFL-focal", "CPRFL", "CPRFL-DB"]
    assert shown("components.svg") == ["focal", "linear-PI-focal", "CPRFL-focal", "CPRFL"]
    assert shown("means.svg") == ["focal", "CPRFL"]
    assert shown("scores.svg") == ["CPRFL"]  # of CPRFL, though it is not the last variant
    assert "parts.svg" not in written


def test_claims_of_other_variants_are_paired_differences_too(
    grouped: Task, params: Make, figures: FigureFolder
) -> None:
    asked = params(variants=["focal", "linear-PI-focal", "CPRFL-BCE", "CPRFL-focal", "CPRFL-DB", "CPRFL"])
    result = evaluate(of_one_seed(models(grouped, asked)), asked, grouped, figures)
    decided = [re.fullmatch(r"(\w+) of (\S+) minus (\S+)", claim.decides) for claim in result.claims]
    pairs = [match.groups() for match in decided if match]
    assert pairs == [
        ("map", "linear-PI-focal", "focal"),
        ("map", "CPRFL-focal", "linear-PI-focal"),
        ("map", "CPRFL", "CPRFL-focal"),
        ("map", "CPRFL", "CPRFL-BCE"),
        ("tail", "CPRFL", "CPRFL-BCE"),
        ("map", "CPRFL", "CPRFL-DB"),
    ]
    measured = measures(result)
    for (measure, better, than), claim in zip(pairs, result.claims, strict=True):
        assert claim.value == pytest.approx(measured[better][measure].value - measured[than][measure].value)


def test_prompts_of_several_origins_stand_side_by_side(
    grouped: Task, several_prompts: Task, params: Make, figures: FigureFolder
) -> None:
    task = replace(grouped, text=several_prompts.text)
    asked = params(variants=["random", "CPRFL"], prompts=["main", "glove"])
    result = evaluate(of_one_seed(models(task, asked)), asked, task, figures)
    assert [variant.name for variant in result.variants] == ["zero-shot", "random", "CPRFL", "CPRFL@glove"]
    assert "Prompts are those of main, but where a variant names others." in result.notes
    last, measured = result.claims[-1], measures(result)
    assert (last.claim, last.decides) == (
        "Prompts from main beat those from glove",
        "map of CPRFL minus CPRFL@glove",
    )
    gain = measured["CPRFL"]["map"].value - measured["CPRFL@glove"]["map"].value
    assert last.value == pytest.approx(gain)
    assert all(
        f">{name}<".encode() in drawn(figures)["origins.svg"] for name in ("random", "CPRFL@glove", "CPRFL")
    )


def test_pictures_are_chosen_by_rule(task: Task, params: Make) -> None:
    model = models(task, params(variants=["ASL"]))["ASL"]
    scored = score_model("ASL", model, read_truth(task, NAMES), SharedFeatures(task))
    chosen = pictures_by_rule(scored, 3)
    assert len(set(chosen)) == 3
    assert (scored.truth.targets[chosen].sum(1) >= 2).all()
    quality = ranking_quality(scored.scores[chosen], scored.truth.targets[chosen])
    assert quality.tolist() == sorted(quality.tolist())
    assert len(pictures_by_rule(scored, 1000)) == (scored.truth.targets.sum(1) > 0).sum()


def test_similarities_are_cosines_in_the_order_asked(task: Task, params: Make) -> None:
    model = models(task, params(variants=["CPRFL"]))["CPRFL"]
    assert isinstance(model.head, PromptHead)
    tables = similarities(model.head, np.array([2, 0, 3, 1]))
    vectors = model.head.vectors
    expected = torch.nn.functional.cosine_similarity(vectors[2], vectors[3], dim=0)
    assert tables["category vectors"][0, 2] == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(np.diag(tables["trained prompts"]), 1, rtol=1e-5)
