"""How alike the texts of classes are, and what they are worth without training."""

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
    """Say how alike the classes' texts are, and what they are worth without training.

    Similarities are cosines between different classes. Zero-shot needs the features of the pictures; see
    `zero_shot`.
    """
    measures, details = _similarity(prompts)
    if prompts.image_embeddings is not None:
        rows = manifest.sort_values("row")
        measures |= zero_shot(prompts.image_embeddings, prompts.embeddings, prompts.names, rows)
    return NetworkResult(
        name=name,
        measures=measures,
        metrics=("mean similarity", "zero-shot top1", "zero-shot map"),
        details={**params.model_dump(mode="json"), "classes": len(prompts.names), **details},
    )


def _similarity(prompts: Prompts) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the mean and the highest cosine between two classes, and which two are most alike."""
    names = prompts.names
    if len(names) < 2:
        return {}, {}
    table = cosines(prompts.embeddings, prompts.embeddings)
    first, second = torch.triu_indices(len(names), len(names), 1).numpy()
    pairs = table[first, second]
    most = int(pairs.argmax())
    measures = {"mean similarity": float(pairs.mean()), "highest similarity": float(pairs[most])}
    return measures, {"most alike": [names[first[most]], names[second[most]]]}
