"""What is said of the texts of classes."""

import pytest
import torch
from support.classes import class_manifest

from fieldmark.prompting.schema import PromptParams, VectorsParams
from fieldmark.results.schema import NetworkResult
from fieldmark.scoring.prompts import describe_prompts
from fieldmark.texts.prompts import Prompts

PARAMS = PromptParams(dataset="d", clip="c")
TEXTS = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])


def described(
    names: str, pictures: torch.Tensor | None = None, params: PromptParams = PARAMS
) -> NetworkResult:
    texts = TEXTS[: len(names)]
    prompts = Prompts(list(names), texts, texts[None], pictures)
    return describe_prompts("p", prompts, params, class_manifest(list(names)))


def test_how_alike_the_texts_of_classes_are() -> None:
    told = described("abc")
    assert told.details["most alike"] == ["b", "c"]
    assert told.measures["highest similarity"].value == pytest.approx(0.96)
    assert told.measures["mean similarity"].value == pytest.approx((0.6 + 0.8 + 0.96) / 3)
    assert set(told.measures) == {"highest similarity", "mean similarity"}
    assert set(told.metric_values) == {"mean similarity"}


def test_pictures_are_classified_by_the_texts_where_there_are_any() -> None:
    told = described("abc", torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.8, 0.6]]))
    assert told.measures["zero-shot top1"].value == pytest.approx(2 / 3)
    assert told.measures["chance"].value == pytest.approx(1 / 3)
    assert set(told.metric_values) == {"mean similarity", "zero-shot top1"}


def test_one_class_has_nothing_to_be_compared_with() -> None:
    told = described("a")
    assert told.measures == {}
    assert told.details["classes"] == 1
    assert told.details["templates"] == list(PARAMS.templates)
    assert "most alike" not in told.details


def test_vectors_of_a_file_are_told_without_what_a_clip_would_need() -> None:
    vectors = VectorsParams(file="v.npy", names="names.txt")
    told = described("abc", params=PromptParams(dataset="d", clip="none", vectors=vectors))
    assert told.details["vectors"] == {"file": "v.npy", "names": "names.txt"}
    assert not {"templates", "text", "zero_shot"} & set(told.details)
    assert "vectors" not in described("abc").details
