"""Category vectors that the user brings in a file, in place of those that a CLIP makes of the class names."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.multilabel import classes_of
from fieldmark.prompting.schema import VectorsParams
from fieldmark.texts.prompts import Prompts


def given_prompts(params: VectorsParams, manifest: pd.DataFrame) -> Prompts:
    """Return the vectors of a file as prompts of the classes of `manifest`, in the order of the classes.

    A class takes the row whose name is its own; rows of other names are left out. Raises UserError for files that are
    absent, damaged or do not fit each other, and for a class whose vector is missing, zero or not finite.
    """
    vectors, names = _read_vectors(Path(params.file)), _read_names(Path(params.names))
    if len(vectors) != len(names):
        raise UserError(f"{params.file} holds {len(vectors)} vectors, but {params.names} {len(names)} names")
    row_of = {name: row for row, name in enumerate(names)}
    classes = classes_of(manifest)
    if missing := [name for name in classes if name not in row_of]:
        raise UserError(
            f"{params.names} lacks {len(missing)} of {len(classes)} classes, first '{missing[0]}'"
        )
    chosen = vectors[[row_of[name] for name in classes]]
    for name, vector in zip(classes, chosen, strict=True):
        if not (vector.isfinite().all() and vector.any()):
            raise UserError(
                f"{params.file}: the vector of '{name}' is zero or has a number that is not finite"
            )
    return Prompts(classes, chosen, chosen[None].clone())


def _read_vectors(path: Path) -> Tensor:
    """Return the one table (rows, m) of a file, float32. Raises UserError for anything else."""
    _require_file(path)
    table = {".npy": _from_npy, ".safetensors": _from_safetensors}.get(path.suffix)
    if table is None:
        raise UserError(f"{path} is neither .npy nor .safetensors")
    vectors = table(path)
    if vectors.ndim != 2 or not vectors.shape[1] or vectors.is_complex():
        raise UserError(
            f"{path} must hold real numbers in the shape (classes, dim); its shape is {tuple(vectors.shape)}"
        )
    return vectors.float()


def _from_npy(path: Path) -> Tensor:
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (ValueError, TypeError, EOFError) as error:  # a pickle of objects, text, half a file
        raise UserError(f"{path} is no .npy file of numbers: {error}") from None


def _from_safetensors(path: Path) -> Tensor:
    try:
        tensors = list(load_file(path).values())
    except SafetensorError as error:
        raise UserError(f"{path} is no .safetensors file: {error}") from None
    if len(tensors) != 1:
        raise UserError(f"{path} must hold one tensor, it holds {len(tensors)}")
    return tensors[0]


def _read_names(path: Path) -> list[str]:
    """Return the names, one a line. Raises UserError when there is none, or one comes twice."""
    _require_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8") from None
    names = [line.strip() for line in lines if line.strip()]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{path} names '{twice[0]}' more than once")
    return names


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
