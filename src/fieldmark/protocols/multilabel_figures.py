"""Figures that every multi-label method draws."""

from collections.abc import Mapping, Sequence

import numpy as np

from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.task import Task
from fieldmark.figures.charts import measure_bars
from fieldmark.figures.multilabel import Shown, ap_by_frequency, top_scores
from fieldmark.protocols.multilabel import ZERO_SHOT, Scored
from fieldmark.protocols.seen import seen_picture
from fieldmark.results.figures import FigureFolder

BY_RULE = "Chosen by rule from the worst ranked to the best: the middle of each sixth."


def means_figure(scored: Mapping[str, Scored], file: str, title: str, figures: FigureFolder) -> None:
    """Draw the mean average precisions of several variants."""
    path = figures.new(file, title, "With 95 % intervals over pictures.", wide=True)
    means = {name: variant.means for name, variant in scored.items()}
    measure_bars(path, means, list(next(iter(means.values()))))


def category_figure(scored: Mapping[str, Scored], figures: FigureFolder) -> None:
    """Draw the average precision of every category above its training pictures."""
    truth = next(iter(scored.values())).truth
    order = truth.by_frequency
    ends = np.cumsum([int(mask.sum()) for mask in truth.groups.values()])[:-1]
    path = figures.new(
        "categories.svg",
        "Average precision per category",
        "From the most frequent category in training to the rarest; dashes part head, middle and tail.",
        wide=True,
    )
    ap_by_frequency(
        path,
        {name: variant.ap[order] for name, variant in scored.items()},
        truth.counts[order],
        [truth.names[index] for index in order],
        [int(edge) for edge in np.unique(ends) if 0 < edge < len(order)],
    )


def scores_figure(
    scored: Mapping[str, Scored],
    chosen: Sequence[int],
    images: ImageParams,
    task: Task,
    figures: FigureFolder,
) -> None:
    """Draw the highest scores of some variants for the chosen test pictures, as the network sees these."""
    truth = next(iter(scored.values())).truth
    shown = [
        Shown(
            seen_picture(task, images, int(truth.subset.rows[index])),
            truth.targets[index],
            {name: variant.scores[index].astype(np.float64) for name, variant in scored.items()},
        )
        for index in chosen
    ]
    cosines = {ZERO_SHOT} & set(scored)
    told = f" The scores of {ZERO_SHOT} are cosines, and its bars end at the highest one." if cosines else ""
    caption = f"Green: in the picture.{told} {BY_RULE}"
    path = figures.new("scores.svg", "The highest scores of test pictures", caption, wide=True)
    top_scores(path, shown, truth.names, cosines)
