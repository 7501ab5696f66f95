"""Scoring what every variant's features are worth for dense prediction, and how well positions are predicted."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.segmentation import Overlaps, miou_interval
from fieldmark.figures.curves import read_curves
from fieldmark.methods.loca.evaluation.claims import make_claims
from fieldmark.methods.loca.evaluation.figures import write_figures
from fieldmark.methods.loca.evaluation.positions import Positions, predict_positions
from fieldmark.methods.loca.evaluation.probes import Dense, judge
from fieldmark.methods.loca.model.collapse import diagnosis
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.protocols.pairs import Pairs

TITLES = {
    "random": "random weights",
    "supervised": "backbone trained with labels on other classes",
    "position": "position loss alone",
    "feature": "feature loss alone",
    "LOCA": "position and feature loss",
    "zhai": "positions within a single picture",
}
NO_MASKS = "There are no pictures with masks for training and test: dense prediction was not scored."
Measures = dict[str, Interval]


def evaluate(models: Mapping[str, Loca], params: LocaParams, task: Task, figures: Path) -> dict[str, Any]:
    """Probe and fine-tune the variants, write the figures, and return the content of the metrics file."""
    train, test = Pairs.of(task, "train"), Pairs.of(task, "test")
    dense = judge(models, params.dense, train, test) if len(train) and len(test) else {}
    positions = predict_positions(models, task)
    measures = {name: measured(dense.get(name), positions.get(name)) for name in models}
    write_figures(models, dense, positions, measures, task, figures)
    return {
        "title": Loca.title,
        "variants": {
            name: {key: one.as_dict() for key, one in found.items()}
            for name, found in measures.items()
            if found
        },
        "variant_order": list(models),
        "variant_titles": {name: variant_title(name, params) for name in models},
        "headline": _headline(measures),
        "claims": [claim.as_dict() for claim in make_claims(dense, positions)],
        "counts": _counts(train, test, positions),
        "parameters": {"encoder": {name: _weights(model) for name, model in models.items()}},
        "class_iou": {name: _by_class(one, test) for name, one in dense.items()},
        "notes": [*_notes(params, dense), *_collapses(task)],
    }


def measured(dense: Dense | None, positions: Positions | None) -> Measures:
    """Return a variant's measures by name; the probe on all labels and fine-tuning first."""
    found: Measures = {}
    if dense:
        for fraction in sorted(dense.probes, reverse=True):
            found[probe_name(fraction)] = miou_interval(dense.probes[fraction])
        if dense.tuned:
            found["miou_finetune"] = miou_interval(dense.tuned)
    if positions:
        found["position_accuracy"] = positions.accuracy
    return found


def probe_name(fraction: float) -> str:
    """Name the mIoU of a probe on a fraction of the labels."""
    return "miou_probe" if fraction == 1 else f"miou_probe@{100 * fraction:.3g}%"


def variant_title(name: str, params: LocaParams) -> str:
    """Say what a variant is."""
    mode, _, eta = name.partition("-")
    return TITLES[mode] + (f", eta {float(eta):g} in place of {params.eta:g}" if eta else "")


def _headline(measures: Mapping[str, Measures]) -> list[str]:
    """The probe on the most labels, fine-tuning and pretext accuracy, whichever were measured."""
    known = list(dict.fromkeys(name for found in measures.values() for name in found))
    probe = [name for name in known if name.startswith("miou_probe")][:1]
    return probe + [name for name in ("miou_finetune", "position_accuracy") if name in known]


def _counts(train: Pairs, test: Pairs, positions: Mapping[str, Positions]) -> dict[str, int | str]:
    counts: dict[str, int | str] = {
        "training pictures with a mask": len(train),
        "test pictures with a mask": len(test),
        "labels": test.classes,
    }
    for one in positions.values():
        counts["position chance"] = f"1 in {one.places}"
    return counts


def _weights(model: Loca) -> int:
    return sum(parameter.numel() for parameter in model.backbone.parameters())


def _by_class(dense: Dense, test: Pairs) -> dict[str, dict[str, float | None]]:
    """Return the IoU of each label by name; None for one that is nowhere."""
    names = test.task.store.mask_names

    def rows(overlaps: Overlaps) -> dict[str, float | None]:
        values = overlaps.iou.tolist()
        return {n: None if math.isnan(v) else v for n, v in zip(names, values, strict=True)}

    return {"probe": rows(dense.probe)} | ({"finetune": rows(dense.tuned)} if dense.tuned else {})


def _notes(params: LocaParams, dense: Mapping[str, Dense]) -> list[str]:
    if not dense:
        return [NO_MASKS]
    notes = [
        "Intervals resample test pictures and tell nothing of other training seeds.",
        "mIoU is the mean over labels that occur, from the pixels of all test pictures together, at the stored "
        "size. Pictures are seen whole, made square; the paper slides a window.",
        "Probes are linear on frozen features, standardised by channel; every variant has the same recipe and "
        "the same labelled pictures. The official release has no code for this: the decoder is Segmenter's.",
        "The backbone trained with labels has another architecture than LOCA's encoder, and other pictures.",
    ]
    if {"position", "LOCA"} <= set(dense):
        notes.append(
            "As in the released code, the position loss alone also goes without position table in the queries, "
            "averaged teacher and hidden reference patches in the encoder: from LOCA it differs by more than a loss."
        )
    if params.dense.finetune:
        notes.append(
            f"Fine-tuning: {params.dense.finetune.steps} steps of {params.dense.finetune.batch_size} pictures "
            "on all labels, one recipe for all."
        )
    absent = sorted({label for one in dense.values() for label in one.probe.absent})
    if absent:
        notes.append(f"{len(absent)} labels are in no test picture and in no prediction; they do not count.")
    return notes


def _collapses(task: Task) -> list[str]:
    """Say of every run that was trained with the feature loss whether it has collapsed."""
    found = []
    for name, columns in read_curves(task.history).items():
        last = {column: values[-1] for column, values in columns.items() if values}
        if "prototypes" in last or "feature_std" in last:
            verdict = diagnosis({key: value for key, value in last.items() if not math.isnan(value)})
            found.append(f"{name} has {verdict}." if verdict else f"{name} has not collapsed.")
    return found
