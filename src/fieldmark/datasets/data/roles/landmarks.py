"""Which photographs show the same object, where the source says so one by one and not by classes.

A source writes names of photographs, parted by blanks, into the attributes of another: a query of a benchmark has
`easy`, `hard` and `junk`, a query for training has `positives`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fieldmark.base.errors import UserError

KINDS = ("easy", "hard", "junk")
POSITIVES = "positives"


@dataclass(frozen=True)
class Relevance:
    """For each query, the places within the database of the photographs of each kind."""

    easy: Sequence[Sequence[int]]
    hard: Sequence[Sequence[int]]
    junk: Sequence[Sequence[int]]


def relevance(manifest: pd.DataFrame, queries: Sequence[str], database: Sequence[str]) -> Relevance:
    """Return what is relevant for queries, both given by their ids.

    Raises UserError for a query without the lists, and for a list that names what is not in the database.
    """
    place = {key: index for index, key in enumerate(database)}
    attributes = _attributes(manifest, queries)
    return Relevance(*([_places(attributes[key], kind, key, place) for key in queries] for kind in KINDS))


def positive_pairs(manifest: pd.DataFrame, pictures: Sequence[str]) -> NDArray[np.int64]:
    """Return (P, 2) the places within `pictures`, given by their ids, of each query and of a positive of it.

    Pairs with a photograph that is not among them, since a split left it out, are passed over.
    """
    place = {key: index for index, key in enumerate(pictures)}
    pairs = [
        (place[key], place[positive])
        for key, attributes in _attributes(manifest, pictures).items()
        for positive in attributes.get(POSITIVES, "").split()
        if positive in place
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _attributes(manifest: pd.DataFrame, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    of_id = dict(zip(manifest["id"], manifest["attributes"], strict=True))
    return {key: json.loads(of_id[key]) for key in ids}


def _places(attributes: Mapping[str, str], kind: str, query: str, place: Mapping[str, int]) -> list[int]:
    if kind not in attributes:
        raise UserError(
            f"'{query}' lists no {' and '.join(KINDS)} photographs; it is no query of a benchmark"
        )
    names = attributes[kind].split()
    absent = [name for name in names if name not in place]
    if absent:
        raise UserError(f"'{query}' lists {kind} {absent[0]}, which is not in the database; prepare it again")
    return [place[name] for name in names]
