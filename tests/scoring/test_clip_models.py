"""What a CLIP can do by itself: colours named without training for it, pictures and captions found."""

import dataclasses
from pathlib import Path

import pytest
import torch
from support.clips import tiny_clip
from support.colours import COLOURS, clip_params, colour_task, silent

from fieldmark.clip.training import make_clip
from fieldmark.engine.task import Task
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.scoring.clip_models import describe_clip, score_clip

OWN_PAIRS = {f"{way} recall@{k}" for way in ("image to text", "text to image") for k in (1, 5)}


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return colour_task(tmp_path / "task")


def test_a_clip_that_was_taught_names_of_colours_knows_them(task: Task, tmp_path: Path) -> None:
    params = clip_params(sentences=["a {back_colour} {colour}"], templates=["a {} picture", "it is {}"])
    clip, _ = make_clip(params, task, "clip-small")
    figures = FigureFolder(tmp_path / "figures")
    figures.folder.mkdir()
    result = describe_clip("small", clip, params, task, figures)
    measures = result.measures
    assert measures["zero-shot top1"].value > 0.7  # chance is a quarter
    assert measures["zero-shot top1, classes by their training captions"].value > 0.7
    assert measures["chance"].value == 0.25
    of_class = measures["image to text recall@1, any of the class"].value
    assert measures["image to text recall@1"].value <= of_class
    assert of_class > 0.7
    recall = measures["text to image recall@5"]
    assert recall.low <= recall.value <= recall.high  # type: ignore[operator]
    assert set(result.metric_values) == {
        "zero-shot top1",
        "image to text recall@1",
        "text to image recall@1",
    }
    assert result.weights == "trained here on split 's'"
    assert result.arch == "open_clip: a configuration of its own"
    assert result.parameters == sum(p.numel() for p in clip.parameters())
    figures.write_index()
    assert len(read_figures(figures.folder)) == 1


def test_classes_are_in_order_with_the_mean_of_their_texts(task: Task) -> None:
    clip = tiny_clip()
    scores = score_clip(clip, clip_params(templates=["a {} picture", "it is {}"]), task)
    assert scores.names == sorted(COLOURS)
    by_hand = torch.stack(
        [clip.encode_texts([f"a {name} picture", f"it is {name}"]).mean(0) for name in scores.names]
    )
    torch.testing.assert_close(scores.embeddings, by_hand)


def test_pictures_without_captions_are_named_but_not_searched(task: Task) -> None:
    scores = score_clip(tiny_clip(), clip_params(), silent(task))
    assert set(scores.measures) == {"zero-shot top1", "chance"}


def test_pictures_with_several_labels_are_scored_by_average_precision(task: Task) -> None:
    manifest = task.manifest.assign(
        labels=[[name, "picture"] for name in task.manifest.class_name], class_name=None
    )
    several = dataclasses.replace(task, manifest=manifest, split=task.split.assign(label=-1, class_name=""))
    scores = score_clip(tiny_clip(), clip_params(), several)
    assert scores.names == sorted([*COLOURS, "picture"])
    assert scores.measures["chance"] == pytest.approx((1 + 4 * 0.25) / 5)
    assert set(scores.measures) == {"zero-shot map", "chance", *OWN_PAIRS}
