"""The figures of LOCA's section of the report."""

from collections.abc import Mapping
from pathlib import Path

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.figures.charts import loss_curves, measure_bars
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.trends import Point, trend_panels
from fieldmark.methods.loca.evaluation.positions import Positions
from fieldmark.methods.loca.evaluation.probes import Dense
from fieldmark.methods.loca.evaluation.sheets import feature_sheet, mask_sheet, position_sheet
from fieldmark.methods.loca.model.method import Loca
from fieldmark.protocols.pairs import Pairs
from fieldmark.results.figures import FigureEntry, write_figures_index

LOSSES = ("position", "cluster", "me_max", "loss")
Measures = Mapping[str, Interval]


def write_figures(
    models: Mapping[str, Loca],
    dense: Mapping[str, Dense],
    positions: Mapping[str, Positions],
    measures: Mapping[str, Measures],
    task: Task,
    folder: Path,
) -> None:
    """Write every figure and their index into `folder`."""
    if dense:
        test = Pairs.of(task, "test")
        _bars(folder / "probes.svg", measures, "miou_probe")
        _bars(folder / "finetune.svg", measures, "miou_finetune")
        mask_sheet(folder / "masks.svg", dense, test)
        feature_sheet(folder / "features.svg", dense, test)
    main = next((name for name in ("LOCA", *positions) if _has_queries(positions, name)), None)
    if main:
        position_sheet(folder / "positions.svg", positions[main], models[main])
    etas = _by_eta(models, measures)
    if any(len(points) > 1 for curves in etas.values() for points in curves.values()):
        trend_panels(folder / "eta.svg", etas, "hidden fraction of the reference, eta")
    curves = curves_by_loss(read_curves(task.history))
    if curves:
        kept = {name: found for name, found in curves.items() if name in LOSSES}
        rest = {name: found for name, found in curves.items() if name not in LOSSES}
        loss_curves(folder / "loss.svg", kept, order=list(models))
        if rest:
            loss_curves(folder / "health.svg", rest, order=list(models))
    entries = _entries(main or "")
    write_figures_index(folder, [entry for entry in entries if (folder / entry.file).exists()])


def _has_queries(positions: Mapping[str, Positions], name: str) -> bool:
    return name in positions and len(positions[name].shown.predicted) > 0


def _bars(path: Path, measures: Mapping[str, Measures], start: str) -> None:
    """Draw the measures whose name begins with `start`, of the variants that have them."""
    having = {name: found for name, found in measures.items() if any(key.startswith(start) for key in found)}
    if having:
        first = next(iter(having.values()))
        measure_bars(path, having, [key for key in first if key.startswith(start)])


def _by_eta(
    models: Mapping[str, Loca], measures: Mapping[str, Measures]
) -> dict[str, dict[str, list[Point]]]:
    """Return panel -> mode -> points (eta, measure), for the modes that hide a part of the reference."""
    panels: dict[str, dict[str, list[Point]]] = {}
    for title, key in (("position accuracy", "position_accuracy"), ("mIoU of the probe", "miou_probe")):
        for name, found in measures.items():
            if key in found and models[name].params.train.steps:
                curves = panels.setdefault(title, {})
                curves.setdefault(models[name].params.mode, []).append((models[name].params.eta, found[key]))
    return {title: {mode: sorted(p) for mode, p in curves.items()} for title, curves in panels.items()}


def _entries(main: str) -> list[FigureEntry]:
    texts = [
        (
            "probes.svg",
            "mIoU of linear probes on frozen features",
            "By the fraction of the labelled pictures; with 95 % intervals over test pictures.",
            True,
        ),
        ("finetune.svg", "mIoU after fine-tuning", "With 95 % intervals over test pictures.", False),
        (
            "masks.svg",
            "Masks",
            "Test pictures at even steps, their true masks, and what each variant makes of them: fine-tuned "
            "where it was, else by its probe on all labels.",
            True,
        ),
        (
            "features.svg",
            "Features",
            "Patch features of these pictures: their first three principal components as red, green and blue.",
            True,
        ),
        (
            "positions.svg",
            f"Where {main} puts the patches of a query",
            "The picture with the reference (blue) and a query (orange); the reference, its visible patches "
            "bright; the query; its patches at their true places in the reference; and where they were put, "
            "green where right.",
            True,
        ),
        ("eta.svg", "Masking of the reference", "Pretext accuracy and transfer against eta.", True),
        ("loss.svg", "Training", "Each loss as it enters the sum, mean of ten steps.", False),
        (
            "health.svg",
            "Signs of collapse",
            "Pretext accuracy, spread of features, entropy of the targets and share of prototypes in use, on "
            "training views.",
            False,
        ),
    ]
    return [FigureEntry(file=f, title=t, caption=c, wide=w) for f, t, c, w in texts]
