"""Prepared pictures with their names, for looking at a data set as a whole."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from fieldmark.datasets.data.packed.store import ImageStore


class Specimen(NamedTuple):
    """A picture (RGB), its class and its group ("" where it has none), and its labels where it has several."""

    picture: Image.Image
    class_name: str
    group: str
    labels: tuple[str, ...] = ()


def specimens(
    store: ImageStore, manifest: pd.DataFrame, max_pictures: int | None = None
) -> Iterator[Specimen]:
    """Yield the pictures of a manifest in its order; of more than `max_pictures`, evenly spaced ones."""
    count = len(manifest)
    chosen = (
        np.arange(count)
        if max_pictures is None or count <= max_pictures
        else np.linspace(0, count - 1, max_pictures).astype(int)
    )
    columns = manifest.iloc[chosen]
    several = columns["labels"] if "labels" in columns else [()] * len(columns)
    for row, name, group, labels in zip(
        columns["row"], columns["class_name"], columns["group"], several, strict=True
    ):
        picture = Image.fromarray(store[int(row)])
        yield Specimen(picture, _word(name), _word(group), tuple(labels))


def _word(value: Any) -> str:
    return str(value) if pd.notna(value) else ""
