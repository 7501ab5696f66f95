"""The columns of a manifest that say what is in pictures."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def class_manifest(
    names: Sequence[str | None],
    labels: Sequence[list[str]] | None = None,
    attributes: Sequence[Mapping[str, Any]] | None = None,
) -> pd.DataFrame:
    """A manifest of one row per name: classes, labels and attributes."""
    count = len(names)
    return pd.DataFrame(
        {
            "row": range(count),
            "class_name": names,
            "labels": labels or [[] for _ in names],
            "attributes": [json.dumps(values) for values in attributes or [{}] * count],
        }
    )
