"""An index of pictures: a folder with faiss's index, the paths of the pictures, and which model described them.

`index.faiss` holds unit-length descriptors, whose inner product is the similarity; `pictures.csv` has a path for each,
in the same order; `index.json` says the rest. None of them is a pickle.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import faiss
import numpy as np

from fieldmark.base.blocks import Block, parse
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, read_json, sha256_file, write_json
from fieldmark.contract.method import WEIGHTS
from fieldmark.contract.variants import DESCRIPTION
from fieldmark.inference.vectors import Vectors
from fieldmark.trained import TrainedModel

INDEX, PICTURES, ABOUT = "index.faiss", "pictures.csv", "index.json"
Kind = Literal["flat", "ivf", "hnsw"]
KINDS: tuple[Kind, ...] = ("flat", "ivf", "hnsw")
LINKS, BUILD_BREADTH, SEARCH_BREADTH = (
    32,
    200,
    128,
)  # of HNSW: per picture, when one is added, when one searches
PER_LIST = 39  # pictures that faiss wants at least for each list of an inverted file
LEAST_PROBED, PROBED_SHARE = 8, 8  # lists that are searched: so many, or the eighth part
QUERIES, NEIGHBOURS, SEED = 1000, 10, 0  # with which recall is measured
TIE = 1e-6  # similarities that differ by less are equal


class About(Block):
    """What `index.json` says. `model` is the folder of the model, the rest of it the SHA-256 of two of its files."""

    model: str
    weights: str
    description: str
    kind: Kind
    dimensions: int


class Found(NamedTuple):
    """A picture of the index and its similarity, from -1 to 1, to what was searched."""

    path: Path
    similarity: float


class PictureIndex:
    """Pictures that can be searched by descriptors (D,) of the model that made the index."""

    def __init__(self, about: About, paths: Sequence[Path], index: faiss.Index) -> None:
        self.about, self.paths, self.index = about, list(paths), index

    @classmethod
    def build(
        cls, model: TrainedModel, paths: Sequence[Path], vectors: Vectors, kind: Kind
    ) -> "PictureIndex":
        """Index N pictures by their unit-length descriptors (N, D), which `model` has computed."""
        index = _empty(kind, *vectors.shape)
        index.train(vectors)
        index.add(vectors)
        about = About(**_identity(model), kind=kind, dimensions=vectors.shape[1])
        return cls(about, [path.resolve() for path in paths], index)

    @classmethod
    def read(cls, folder: Path) -> "PictureIndex":
        """Read what `write` wrote. Raises UserError when there is no index, or when a file of it is damaged."""
        if folder.is_file():
            raise UserError(
                f"{folder} is a file and no index; the index comes first: fieldmark search INDEX PHOTO"
            )
        if not (folder / ABOUT).is_file():
            raise UserError(f"{folder} is no index; `fieldmark index MODEL PICTURES -o {folder}` makes one")
        about = parse(About, read_json(folder / ABOUT), str(folder / ABOUT))
        try:
            index = faiss.read_index(str(folder / INDEX))
            paths = _read_paths(folder / PICTURES)
        except (OSError, RuntimeError, MemoryError, ValueError, csv.Error, IndexError):
            raise UserError(f"the files in {folder} do not make an index; build it again") from None
        if len(paths) != index.ntotal or index.d != about.dimensions:
            raise UserError(f"the files in {folder} do not belong together; build the index again")
        return cls(about, paths, index)

    def write(self, folder: Path) -> None:
        """Write the index; it replaces an older one as a whole. Raises UserError when `folder` holds anything else."""
        require_room(folder)
        with atomic_folder(folder) as temporary:
            faiss.write_index(self.index, str(temporary / INDEX))
            with (temporary / PICTURES).open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([["path"], *([str(path)] for path in self.paths)])
            write_json(temporary / ABOUT, self.about.model_dump())

    def require_model(self, model: TrainedModel) -> None:
        """Raise UserError when the model, or its weights, are not those that the index was made with."""
        identity = _identity(model)
        for part, file in (("weights", WEIGHTS), ("description", DESCRIPTION)):
            if identity[part] != getattr(self.about, part):
                raise UserError(
                    f"{model.folder / file} has changed since the index was made; build the index again"
                )

    def search(self, vectors: Vectors, k: int) -> list[list[Found]]:
        """Return, for each descriptor of (N, D), the k pictures that are most alike, the most alike first."""
        similarities, rows = self.index.search(vectors, min(k, len(self.paths)))
        return [
            [
                Found(self.paths[row], float(value))
                for value, row in zip(values, found, strict=True)
                if row >= 0
            ]
            for values, found in zip(similarities, rows, strict=True)
        ]


def require_room(folder: Path) -> None:
    """Raise UserError when `folder` holds anything but an index, which a new one would delete."""
    if folder.exists() and not (folder / ABOUT).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is no index; name another place with -o")


def measured_recall(index: faiss.Index, vectors: Vectors, k: int = NEIGHBOURS) -> float | None:
    """Return the share of the true k nearest that `index` finds, over up to 1,000 of the vectors (N, D) in it.

    A picture is not counted as its own neighbour; neighbours of equal similarity stand for one another. None when
    there is nothing but one picture.
    """
    k = min(k, len(vectors) - 1)
    if k < 1:
        return None
    rows = np.random.default_rng(SEED).permutation(len(vectors))[:QUERIES]
    exact = faiss.IndexFlatIP(vectors.shape[1])
    exact.add(vectors)
    true = _others(*exact.search(vectors[rows], k + 1), rows, k)
    found = _others(*index.search(vectors[rows], k + 1), rows, k)
    return float((found >= true[:, -1:] - TIE).mean())


def _others(similarities: Vectors, found: Any, rows: Any, k: int) -> Vectors:
    """Return the similarities (Q, k) of what was found for the pictures `rows` (Q,), without these themselves."""
    others = np.where((found == rows[:, None]) | (found < 0), -np.inf, similarities)
    ordered: Vectors = -np.sort(-others, axis=1)[:, :k]
    return ordered


def _empty(kind: Kind, count: int, dimensions: int) -> faiss.Index:
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimensions, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = BUILD_BREADTH, SEARCH_BREADTH
        return graph
    exact = faiss.IndexFlatIP(dimensions)
    if kind == "flat":
        return exact
    lists = max(1, min(round(4 * count**0.5), count // PER_LIST))
    inverted = faiss.IndexIVFFlat(exact, dimensions, lists, faiss.METRIC_INNER_PRODUCT)
    inverted.nprobe = min(lists, max(LEAST_PROBED, lists // PROBED_SHARE))
    return inverted


def _identity(model: TrainedModel) -> dict[str, str]:
    folder = model.folder.resolve()
    weights, description = (sha256_file(folder / name) for name in (WEIGHTS, DESCRIPTION))
    return {"model": str(folder), "weights": weights, "description": description}


def _read_paths(path: Path) -> list[Path]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [Path(row[0]) for row in list(csv.reader(stream))[1:]]
