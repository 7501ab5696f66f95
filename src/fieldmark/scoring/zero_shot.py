"""Zero-shot classification: how well class texts classify pictures by their similarity, without training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from fieldmark.datasets.data.roles.multilabel import has_several_labels, multi_hot
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.evaluation.crossmodal import cosines, zero_shot_hits
from fieldmark.evaluation.multilabel import map_intervals

Measures = dict[str, Interval | float]


def zero_shot(pictures: Tensor, texts: Tensor, names: Sequence[str], rows: pd.DataFrame) -> Measures:
    """Score pictures (N, m) against the texts (C, m) of the classes `names`; `rows` are their manifest rows.

    Where pictures have one class each, the measure is the fraction with the right text first, its interval is over
    classes, and chance is 1 / C. Where they have several labels, it is the mean average precision of the similarities,
    its interval is over pictures, and chance is the mean frequency of the labels.
    """
    if has_several_labels(rows):
        targets = multi_hot(rows, rows, names)
        mean_precision = map_intervals(cosines(pictures, texts), targets)["map"]
        chance = float(targets.mean(axis=0)[targets.any(axis=0)].mean())
        return {"zero-shot map": mean_precision, "chance": chance}
    index_of = {name: index for index, name in enumerate(names)}
    labels = rows["class_name"].map(index_of).to_numpy(np.int64)
    top1 = interval(zero_shot_hits(pictures, texts, labels), labels)
    return {"zero-shot top1": top1, "chance": 1.0 / len(names)}
