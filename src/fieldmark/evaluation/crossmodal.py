"""Pictures against texts in one space: zero-shot classification, retrieval across the two, and what names mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Array, label_array, unit_rows

ROWS_AT_ONCE = 1024


def zero_shot_hits(images: Tensor | Array, classes: Tensor | Array, labels: Any) -> Array:
    """Return (N,) True where the class text most similar (cosine) to a picture is its own.

    `images` (N, m), `classes` (C, m), `labels` (N,) rows of `classes`. A class as similar as the right one
    counts against it, so that equal texts earn nothing by luck. Raises ValueError for wrong shapes.
    """
    similarity = unit_rows(images, "images") @ unit_rows(classes, "classes").T
    rows = label_array(labels, len(similarity), "labels").astype(np.int64)
    own = similarity.gather(1, torch.as_tensor(rows, device=similarity.device)[:, None])
    hits: Array = ((similarity >= own).sum(dim=1) == 1).cpu().numpy()
    return hits


def cross_recall(
    queries: Tensor | Array,
    query_owners: Any,
    gallery: Tensor | Array,
    gallery_owners: Any,
    ks: Sequence[int],
) -> Mapping[int, Array]:
    """Return, for each k, (Q,) True where an entry of the query's owner is among the k most similar (cosine).

    Owners say what belongs together: pictures and their captions, or all of one class. Wrong entries as
    similar as the best right one rank before it. Raises ValueError for wrong shapes and for a query whose
    owner the gallery lacks.
    """
    left, right = unit_rows(queries, "queries"), unit_rows(gallery, "gallery")
    owners = label_array(gallery_owners, len(right), "gallery_owners")
    asked = label_array(query_owners, len(left), "query_owners")
    if not np.isin(asked, owners).all():
        raise ValueError("a query has nothing to find in the gallery")
    ranks = np.empty(len(left), np.int64)
    for start in range(0, len(left), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        mine = torch.as_tensor(asked[part, None] == owners[None], device=left.device)
        similarity = left[part] @ right.T
        best = similarity.masked_fill(~mine, -torch.inf).amax(dim=1, keepdim=True)
        ranks[part] = ((similarity >= best) & ~mine).sum(dim=1).cpu().numpy()
    return {k: ranks < k for k in ks}


def cosines(first: Tensor | Array, second: Tensor | Array) -> Array:
    """Return the cosine similarities (N, C) of all pairs of rows (N, m) and (C, m), in float64."""
    rows = unit_rows(first, "first") @ unit_rows(second, "second").T
    table: Array = rows.clamp(-1.0, 1.0).cpu().numpy()
    return table
