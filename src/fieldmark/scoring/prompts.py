"""The scores of prompts by themselves: how similar the class texts are, and zero-shot classification with them."""

from typing import Any

import pandas as pd
import torch

from fieldmark.evaluation.crossmodal import cosines
from fieldmark.prompting.schema import PromptParams
from fieldmark.results.schema import NetworkResult
from fieldmark.scoring.zero_shot import zero_shot
from fieldmark.texts.prompts import Prompts


def describe_prompts(
    name: str, prompts: Prompts, params: PromptParams, manifest: pd.DataFrame
) -> NetworkResult:
    """Say how similar the texts of the classes are, and how well they classify pictures without training.

    Similarities are cosines between different classes. Zero-shot classification (see `zero_shot`) needs the features
    of the pictures, and is left out where the prompts have none.
    """
    measures, details = _similarity(prompts)
    if prompts.image_embeddings is not None:
        rows = manifest.sort_values("row")
        measures |= zero_shot(prompts.image_embeddings, prompts.embeddings, prompts.names, rows)
    unused = {"templates", "text", "zero_shot"} if params.vectors else {"vectors"}
    unused |= set() if params.words else {"words"}
    return NetworkResult(
        name=name,
        measures=measures,
        metrics=("mean similarity", "zero-shot top1", "zero-shot map"),
        details={**params.model_dump(mode="json", exclude=unused), "classes": len(prompts.names), **details},
    )


def _similarity(prompts: Prompts) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the mean and the highest cosine between two classes, and the two classes with the highest one."""
    names = prompts.names
    if len(names) < 2:
        return {}, {}
    table = cosines(prompts.embeddings, prompts.embeddings)
    first, second = torch.triu_indices(len(names), len(names), 1).numpy()
    pairs = table[first, second]
    highest = int(pairs.argmax())
    measures = {"mean similarity": float(pairs.mean()), "highest similarity": float(pairs[highest])}
    return measures, {"most alike": [names[first[highest]], names[second[highest]]]}
