"""Scoring linear classifiers, CPRFL and CPRFL without its parts side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from fieldmark.engine.task import Task
from fieldmark.methods.cprfl.evaluation.claims import make_claims
from fieldmark.methods.cprfl.evaluation.figures import write_figures
from fieldmark.methods.cprfl.evaluation.scored import Scored, Truth, read_truth, score, zero_shot
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.texts.prompts import Prompts, read_prompts

ZERO_SHOT = "zero-shot"
TITLES = {
    ZERO_SHOT: "CLIP without training: cosine of picture and name",
    "BCE": "linear classifier, binary cross-entropy",
    "focal": "linear classifier, focal loss",
    "DB": "linear classifier, distribution-balanced focal loss",
    "ASL": "linear classifier, asymmetric loss",
    "random": "CPRFL with random vectors as prompts",
    "one-hot": "CPRFL with one-hot vectors as prompts",
    "linear-PI": "CPRFL with a linear prompt network",
    "VSI-path": "CPRFL, gradient through the interaction only",
    "direct-path": "CPRFL, gradient to the prompts as classifiers only",
    "CPRFL": "prompts from CLIP, both gradient paths, asymmetric loss",
}
HEADLINE = ("map", "head", "medium", "tail", "of1", "cf1")


def evaluate(models: Mapping[str, Cprfl], params: CprflParams, task: Task, figures: Path) -> dict[str, Any]:
    """Score every variant, write the figures, and return the content of the metrics file."""
    truth = read_truth(task, next(iter(models.values())).class_names)
    prompts = read_prompts(task.text)
    untrained = zero_shot(prompts, truth, task)
    scored = {ZERO_SHOT: untrained} if untrained else {}
    scored |= {name: score(name, model, truth, task) for name, model in models.items()}
    write_figures(scored, models, task, figures)
    variants = {name: measured(one) for name, one in scored.items()}
    return {
        "title": Cprfl.title,
        "variants": variants,
        "variant_order": list(scored),
        "variant_titles": {name: TITLES[name] for name in scored},
        "headline": [name for name in HEADLINE if any(name in one for one in variants.values())],
        "claims": [claim.as_dict() for claim in make_claims(scored)],
        "counts": _counts(truth, task),
        "categories": _categories(scored, truth),
        "parameters": {"trained weights": {name: model.trainable for name, model in models.items()}},
        "notes": _notes(params, truth, prompts, validated=len(task.subset("val")) > 0),
    }


def measured(scored: Scored) -> dict[str, Any]:
    """Return a variant's row of the metrics file: means with their intervals, and the decisions."""
    return {name: one.as_dict() for name, one in scored.means.items()} | scored.decisions


def _counts(truth: Truth, task: Task) -> dict[str, Any]:
    frequent = truth.counts[truth.counts > 0]
    return {
        "test pictures": len(truth.subset),
        "training pictures": len(task.subset("train")),
        "validation pictures": len(task.subset("val")),
        "categories": len(truth.names),
        **{f"of the {name}": int(mask.sum()) for name, mask in truth.groups.items()},
        "imbalance": float(frequent.max() / frequent.min()),
        "labels per test picture": float(truth.targets.sum(1).mean()),
    }


def _categories(scored: Mapping[str, Scored], truth: Truth) -> dict[str, Any]:
    """Return training pictures, test pictures and every variant's average precision, by category."""
    return {
        truth.names[one]: {
            "training pictures": int(truth.counts[one]),
            "test pictures": int(truth.targets[:, one].sum()),
            "ap": {n: None if np.isnan(s.ap[one]) else float(s.ap[one]) for n, s in scored.items()},
        }
        for one in truth.by_frequency
    }


def _notes(params: CprflParams, truth: Truth, prompts: Prompts, *, validated: bool) -> list[str]:
    notes = [
        "Intervals resample test pictures and tell nothing of other training seeds.",
        f"All variants have the same steps, pictures and backbone; {'averaged ' if params.train.ema else ''}weights "
        "count as they are after the last step, no checkpoint is chosen. (The released code keeps the best one on the "
        "test pictures.)",
        "OF1 and CF1 are taken under thresholds chosen on the validation pictures, which are not trained on."
        if validated
        else "OF1 and CF1 are taken under a threshold of 0.5, for no validation pictures are kept back to choose one.",
        "Prompts are CLIP's text embeddings, which stay as they are; CLIP's image tower is used by zero-shot alone.",
        _alike(prompts),
    ]
    missing = [truth.names[one] for one in np.flatnonzero(~truth.targets.any(axis=0))]
    if missing:
        notes.append(f"Without a test picture, and so in no mean: {', '.join(missing)}.")
    if not params.backbone_lr:
        notes.append("The backbone is frozen; the paper trains it.")
    return notes


def _alike(prompts: Prompts) -> str:
    """Say how well CLIP's text embeddings tell the categories apart."""
    rows = normalize(prompts.embeddings.float(), dim=1)
    cosines = (rows @ rows.T).fill_diagonal_(-1.0)
    first, second = divmod(int(cosines.argmax()), len(rows))
    mean = float(cosines[~torch.eye(len(rows), dtype=torch.bool)].mean())
    return (
        f"The text embeddings of two categories have a cosine of {mean:.2f} on average; most alike are "
        f"{prompts.names[first]} and {prompts.names[second]} ({float(cosines.max()):.3f}). What CLIP hardly tells "
        "apart it cannot prompt for, where random prompts are nearly orthogonal."
    )
