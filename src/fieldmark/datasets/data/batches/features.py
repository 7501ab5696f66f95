"""The feature store: features of a frozen backbone for every view of every picture, in files mapped into memory.

A store is a folder of parts, each a file with the same number of rows (the last one with fewer). A part appears whole
or not at all, so that a killed process loses no more than the part it was writing, and several processes can write.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.files import atomic_path
from fieldmark.datasets.data.batches.loading import Batch, Slice
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.vision.libraries import Features


@dataclass(frozen=True)
class Layout:
    """How the features of one picture lie in a row: the shape of each tensor, by name, one after the other.

    With `half` a number is a bfloat16, of two bytes, else a float32.
    """

    shapes: Mapping[str, tuple[int, ...]]
    half: bool

    @classmethod
    def of(cls, features: Features, half: bool) -> "Layout":
        """Return the layout for features of any batch, each (B, ...)."""
        return cls({name: tuple(value.shape[1:]) for name, value in features.named().items()}, half)

    @property
    def numbers(self) -> int:
        """How many numbers a row has."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def kind(self) -> type[np.int16] | type[np.float32]:
        """The type of a number for NumPy, which knows bfloat16 by its bits only."""
        return np.int16 if self.half else np.float32

    @property
    def row_bytes(self) -> int:
        """How many bytes a row takes."""
        return self.numbers * np.dtype(self.kind).itemsize

    def joined(self, features: Features) -> NDArray[Any]:
        """Features of B pictures -> rows (B, numbers) as they are stored."""
        named = features.named()
        values = torch.cat([named[name].flatten(1).float() for name in self.shapes], dim=1)
        stored = values.bfloat16().view(torch.int16) if self.half else values
        out: NDArray[Any] = stored.cpu().numpy()
        return out

    def split(self, rows: NDArray[Any]) -> dict[str, Tensor]:
        """Rows (B, numbers) as they are stored -> tensors (B, ...) by name."""
        values = torch.from_numpy(rows)
        values = values.view(torch.bfloat16) if self.half else values
        cut = values.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        shaped = zip(self.shapes.items(), cut, strict=True)
        return {name: part.unflatten(1, shape) for (name, shape), part in shaped}


@dataclass(frozen=True)
class Part:
    """The rows of a store that one file holds: `first` to `last` - 1."""

    path: Path
    first: int
    last: int

    def slices(self, batch_size: int) -> list[Slice]:
        """Return the slices that visit the rows in order."""
        starts = range(self.first, self.last, batch_size)
        return [Slice(0, 0, tuple(range(n, min(n + batch_size, self.last)))) for n in starts]


class FeatureStore:
    """Random access to `rows` rows of features, in parts of `part_rows`. Pickling a store keeps its folder only."""

    def __init__(self, folder: Path, layout: Layout, rows: int, part_rows: int) -> None:
        self.folder, self.layout, self.rows, self.part_rows = folder, layout, rows, part_rows
        starts = range(0, rows, part_rows)
        self.parts = [Part(folder / f"{n:012d}.bin", n, min(n + part_rows, rows)) for n in starts]
        self._maps: dict[int, NDArray[Any]] = {}

    def missing(self) -> list[Part]:
        """Return the parts that are still to be written."""
        return [part for part in self.parts if not self._whole(part)]

    @contextmanager
    def writing(self, part: Part) -> Iterator[Callable[[Features], None]]:
        """Yield a function that appends the features of a batch; without an error, the part is there at the end."""
        with atomic_path(part.path) as temporary, temporary.open("wb") as stream:

            def append(features: Features) -> None:
                stream.write(self.layout.joined(features).tobytes())

            yield append

    def read(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the features (B, ...) at some rows, by name."""
        return self.layout.split(np.stack([self._row(row) for row in rows]))

    def __reduce__(self) -> tuple[type["FeatureStore"], tuple[Path, Layout, int, int]]:
        return type(self), (self.folder, self.layout, self.rows, self.part_rows)

    def _whole(self, part: Part) -> bool:
        """Tell whether a part is there with all its bytes, which a machine that lost its power may not have kept."""
        wanted = (part.last - part.first) * self.layout.row_bytes
        return part.path.exists() and part.path.stat().st_size == wanted

    def _row(self, row: int) -> NDArray[Any]:
        number, place = divmod(row, self.part_rows)
        if number not in self._maps:
            part = self.parts[number]
            shape = (part.last - part.first, self.layout.numbers)
            self._maps[number] = np.memmap(part.path, self.layout.kind, "r", shape=shape)
        found: NDArray[Any] = self._maps[number][place]
        return found


class FeatureDataset(ViewDataset):
    """Batches that hold features in place of pictures, or beside them: of the view that `ViewDataset` takes.

    They are {"feature_map" (B, D, h, w), "labels", "indices"}, with "cls" and "distilled" (B, D) where the backbone
    has such tokens, and with "images" where they are asked for.
    """

    def __init__(self, pictures: ViewDataset, features: FeatureStore, images: bool) -> None:
        super().__init__(
            pictures.store,
            pictures.rows,
            pictures.labels,
            pictures.transform,
            pictures.seed,
            pictures.views,
        )
        self.features, self.images = features, images

    def __getitem__(self, part: Slice) -> Batch:
        places = enumerate(part.indices)
        rows = [index * self.views + self.view_of(part, place) for place, index in places]
        seen = super().__getitem__(part) if self.images else self.labelled(part)
        return {**seen, **self.features.read(rows)}
