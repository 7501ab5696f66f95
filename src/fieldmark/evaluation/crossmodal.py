"""Pictures against texts in one space: zero-shot classification, and retrieval from one to the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from fieldmark.evaluation.arrays import Array, label_array, unit_rows
from fieldmark.evaluation.retrieval import rank_queries


def zero_shot_hits(images: Tensor | Array, classes: Tensor | Array, labels: Any) -> Array:
    """Return (N,) True where the class text most similar (cosine) to a picture is that of its class.

    `images` (N, m), `classes` (C, m), `labels` (N,) rows of `classes`. Where another class is as similar as the right
    one, it ranks before it: equal texts must not count as right by luck. Raises ValueError as `cross_recall` does.
    """
    return cross_recall(images, labels, classes, np.arange(len(classes)), (1,))[1]


def cross_recall(
    queries: Tensor | Array,
    query_owners: Any,
    gallery: Tensor | Array,
    gallery_owners: Any,
    ks: Sequence[int],
) -> Mapping[int, Array]:
    """Return, for each k, (Q,) True where an entry with the owner of the query is among the k most similar (cosine).

    `queries` (Q, m), `gallery` (G, m). The owners, (Q,) and (G,), say what belongs together: a picture and its
    captions, or all of one class. Wrong entries that are as similar as the best right one rank before it. Raises
    ValueError for wrong shapes and for a query whose owner has no entry in the gallery.
    """
    wanted = label_array(query_owners, len(queries), "query_owners")
    owners = label_array(gallery_owners, len(gallery), "gallery_owners")
    results = rank_queries(queries, wanted, gallery, owners, neighbours=0)
    if not results.valid.all():
        raise ValueError("a query has nothing to find in the gallery")
    return {k: results.first_rank <= k for k in ks}


def cosines(first: Tensor | Array, second: Tensor | Array) -> Array:
    """Return the cosine similarities (N, C) of all pairs of rows (N, m) and (C, m), in float64."""
    rows = unit_rows(first, "first") @ unit_rows(second, "second").T
    table: Array = rows.clamp(-1.0, 1.0).cpu().numpy()
    return table
