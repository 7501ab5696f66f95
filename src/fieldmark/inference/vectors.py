"""Descriptors of many pictures, and files of them: `.npz` for NumPy, `.parquet` for tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path
from fieldmark.inference.pictures import Skipped, in_batches
from fieldmark.trained import TrainedModel

Vectors = NDArray[np.float32]
ENDINGS = (".npz", ".parquet")


def embed_files(
    model: TrainedModel, paths: Sequence[Path], skipped: list[Skipped]
) -> tuple[list[Path], Vectors]:
    """Return the paths of the N pictures that can be read, and their unit-length descriptors (N, D) in that order.

    The others are added to `skipped`. Raises UserError for a model that classifies, and when nothing can be read.
    """
    kept: list[Path] = []
    parts: list[Vectors] = []
    for read, vectors in in_batches(model.embed, paths, skipped, "embed"):
        kept += read
        parts.append(vectors.float().numpy())
    return kept, np.concatenate(parts)


def require_ending(path: Path) -> None:
    """Raise UserError for the name of a file of vectors whose ending says no format."""
    if path.suffix not in ENDINGS:
        raise UserError(f"{path} must end with {' or '.join(ENDINGS)}")


def write_vectors(path: Path, names: Sequence[Path], vectors: Vectors) -> None:
    """Write the paths of N pictures with their vectors (N, D), atomically.

    `.npz` holds the arrays `paths` and `vectors`, and loads without pickle; `.parquet` has the columns `path` and
    `vectors`.
    """
    require_ending(path)
    texts = [str(name) for name in names]
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, paths=np.array(texts, dtype=np.str_), vectors=vectors)
        else:
            _write_parquet(temporary, texts, vectors)


def _write_parquet(path: Path, names: Sequence[str], vectors: Vectors) -> None:
    import pyarrow as pa  # takes a while to import, and only this needs it
    from pyarrow import parquet

    flat = pa.array(vectors.ravel(), type=pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    parquet.write_table(pa.table({"path": pa.array(names), "vectors": column}), path)
