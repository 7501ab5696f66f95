"""Prepared pictures with their names, for looking at a data set as a whole."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from fieldmark.datasets.store import ImageStore


class Specimen(NamedTuple):
    """A picture (RGB), its class and its group ("" where it has none)."""

    picture: Image.Image
    class_name: str
    group: str


def specimens(store: ImageStore, manifest: pd.DataFrame, most: int | None = None) -> Iterator[Specimen]:
    """Yield the pictures of a manifest in its order; of more than `most`, evenly spaced ones."""
    count = len(manifest)
    chosen = (
        np.arange(count) if most is None or count <= most else np.linspace(0, count - 1, most).astype(int)
    )
    columns = manifest.iloc[chosen]
    for row, name, group in zip(columns["row"], columns["class_name"], columns["group"], strict=True):
        picture = Image.fromarray(store[int(row)])
        yield Specimen(picture, str(name) if pd.notna(name) else "", str(group) if pd.notna(group) else "")
