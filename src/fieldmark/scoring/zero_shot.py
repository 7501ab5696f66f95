"""What class texts are worth without training: classification of pictures by similarity alone."""

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

    One class a picture: share with the right text first, interval over classes; chance is 1 / C. Several
    labels: mean average precision of the similarities, interval over pictures; chance is the mean prevalence.
    """
    if has_several_labels(rows):
        targets = multi_hot(rows, rows, names)
        found = map_intervals(cosines(pictures, texts), targets)["map"]
        chance = float(targets.mean(axis=0)[targets.any(axis=0)].mean())
        return {"zero-shot map": found, "chance": chance}
    place = {name: index for index, name in enumerate(names)}
    labels = rows["class_name"].map(place).to_numpy(np.int64)
    top1 = interval(zero_shot_hits(pictures, texts, labels), labels)
    return {"zero-shot top1": top1, "chance": 1.0 / len(names)}
