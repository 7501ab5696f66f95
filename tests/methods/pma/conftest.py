from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.tiny import RESNET, SIDE, make_task

from fieldmark.base.blocks import parse
from fieldmark.engine.task import Task
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.texts.phrases import (
    Phrases,
    PhraseVectors,
    build_vocabulary,
    read_phrases,
    write_phrases,
    write_vectors,
)
from fieldmark.vision.backbones import Backbone, NetworkParams, create_backbone, save_backbone

COLOURS = ("red", "blue", "green", "white", "black", "grey")


def tiny_backbone(stride: int = 8) -> Backbone:
    """A residual network whose map has 4 x 4 cells at 32 px: four blocks to choose from."""
    torch.manual_seed(0)
    return create_backbone(NetworkParams(arch="resnet10t", options={**RESNET, "output_stride": stride}), SIDE)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Six colours in three genera, four pictures to train on and two to test; phrases name the colour."""
    monkeypatch.chdir(tmp_path)
    made = make_task(tmp_path / "task")
    save_backbone(tiny_backbone(), made.backbone)
    split = made.split
    number = split.groupby("class_name").cumcount()
    split["role"] = (number < 4).map({True: "train", False: "test"})
    split["label"] = split["class_name"].str.removeprefix("class ").astype(int)
    split["group"] = "genus " + (split["label"] // 2).astype(str)
    text = tmp_path / "text"
    text.mkdir()
    phrases = [
        [f"{COLOURS[label]} wings", "small bill", *([f"long {COLOURS[label]} tail"] if row % 3 else [])]
        if row != 7
        else []
        for label, row in zip(split["label"], split["row"], strict=True)
    ]
    frame = pd.DataFrame({"id": split["id"], "row": split["row"]})
    frame["phrases"] = phrases
    frame["captions"] = [[[index % 2] for index in range(len(said))] for said in phrases]
    train = [said for said, role in zip(phrases, split["role"], strict=True) if role == "train"]
    write_phrases(Phrases(frame, build_vocabulary(train, 1)), text)
    return replace(made, text=text)


@pytest.fixture
def embedded(task: Task) -> Task:
    """The same with vectors of all phrases beside them, at random."""
    phrases = sorted({phrase for said in read_phrases(task.text).frame["phrases"] for phrase in said})
    vectors = np.random.default_rng(0).normal(size=(len(phrases), 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_vectors(PhraseVectors(phrases, vectors.astype(np.float16)), task.text)
    return task


@pytest.fixture
def params() -> Callable[..., PmaParams]:
    def made(**changes: object) -> PmaParams:
        train = {"steps": 3, "batch_size": 6, "lr": 1e-2}
        sizes = {"word_dim": 6, "phrase_dim": 8, "stage_dim": 7, "reduction": {"vision": 2, "language": 2}}
        return parse(PmaParams, {**sizes, "images": {"side": SIDE}, "train": train, **changes}, "pma")

    return made
