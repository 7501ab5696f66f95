"""The figures of CPRFL's section of the report."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fieldmark.engine.task import Task
from fieldmark.figures.charts import loss_curves, measure_bars
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.sheets import picture_sheet
from fieldmark.methods.cprfl.evaluation.charts import Shown, ap_by_frequency, similarity_maps, top_scores
from fieldmark.methods.cprfl.evaluation.looking import (
    attention_row,
    pictures_by_rule,
    shown_picture,
    similarities,
)
from fieldmark.methods.cprfl.evaluation.scored import Scored
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.results.figures import FigureEntry, write_figures_index

BASELINES = ("zero-shot", "BCE", "focal", "DB", "ASL", "CPRFL")
PARTS = ("random", "one-hot", "linear-PI", "VSI-path", "direct-path", "CPRFL")
BESIDE = ("ASL", "CPRFL")  # compared picture by picture
PICTURES = 6


def write_figures(
    scored: Mapping[str, Scored], models: Mapping[str, Cprfl], task: Task, folder: Path
) -> None:
    """Write every figure and their index into `folder`."""
    main = list(models)[-1]
    compared = {name: scored[name] for name in BASELINES if name in scored}
    parts = {name: scored[name] for name in PARTS if name in scored}
    _categories(compared or dict(scored), folder)
    for file, shown in (("means.svg", compared), ("parts.svg", parts)):
        if len(shown) > 1:
            measures = list(next(iter(shown.values())).means)
            measure_bars(folder / file, {name: one.means for name, one in shown.items()}, measures)
    _pictures(scored, models, task, folder, main)
    curves = {n: c for n, c in read_curves(task.history).items() if models[n].parts.loss == "ASL"}
    if curves:
        losses = {name: one for name, one in curves_by_loss(curves).items() if name != "loss"}
        loss_curves(folder / "loss.svg", losses, order=["ASL", *PARTS])
    entries = _entries(main)
    write_figures_index(folder, [entry for entry in entries if (folder / entry.file).exists()])


def _categories(scored: Mapping[str, Scored], folder: Path) -> None:
    truth = next(iter(scored.values())).truth
    order = truth.by_frequency
    sizes = np.cumsum([int(mask.sum()) for mask in truth.groups.values()])[:-1]
    ap_by_frequency(
        folder / "categories.svg",
        {name: one.ap[order] for name, one in scored.items()},
        truth.counts[order],
        [truth.names[one] for one in order],
        [int(edge) for edge in np.unique(sizes) if 0 < edge < len(order)],
    )


def _pictures(
    scored: Mapping[str, Scored], models: Mapping[str, Cprfl], task: Task, folder: Path, main: str
) -> None:
    truth, chosen = scored[main].truth, pictures_by_rule(scored[main], PICTURES)
    beside = [name for name in BESIDE if name in models] or [main]
    shown = [
        Shown(
            shown_picture(task, truth, models[main], index),
            truth.targets[index],
            {name: scored[name].scores[index] for name in beside},
        )
        for index in chosen
    ]
    top_scores(folder / "scores.svg", shown, truth.names)
    head = models[main].head
    if isinstance(head, PromptHead):
        names = [truth.names[one] for one in truth.by_frequency]
        similarity_maps(folder / "prompts.svg", similarities(head, truth.by_frequency), names)
        rows = [attention_row(task, scored[main], models[main], index) for index in chosen]
        picture_sheet(folder / "attention.svg", rows, lead=True)


def _entries(main: str) -> list[FigureEntry]:
    rule = "Chosen by rule from the worst ranked to the best: the middle of each sixth."
    texts = [
        ("means.svg", "Mean average precision", "With 95 % intervals over pictures.", True),
        ("parts.svg", "CPRFL without its parts", "With 95 % intervals over pictures.", True),
        (
            "categories.svg",
            "Average precision per category",
            "From the most frequent category in training to the rarest; dashes part head, middle and tail.",
            True,
        ),
        ("scores.svg", "The highest scores of test pictures", f"Green: in the picture. {rule}", True),
        (
            "attention.svg",
            f"Where prompts look, {main}",
            "Red: attention of a category's prompt over the picture, mean over the heads; below, its score and "
            f"threshold. {rule}",
            True,
        ),
        (
            "prompts.svg",
            f"Similarity of prompts before and after training, {main}",
            "Categories from the most frequent to the rarest.",
            True,
        ),
        ("loss.svg", "Training", "Asymmetric loss, mean of ten steps.", False),
    ]
    return [FigureEntry(file=f, title=t, caption=c, wide=w) for f, t, c, w in texts]
