"""Category vectors that the user brings in a file, in place of those that a CLIP makes of the class names."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
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
from fieldmark.prompting.words import read_words
from fieldmark.texts.prompts import Prompts


def given_prompts(
    params: VectorsParams, manifest: pd.DataFrame, words: Mapping[str, str] | None = None
) -> Prompts:
    """Return the vectors of a file as prompts of the classes of `manifest`, in the order of the classes.

    A class takes the row whose name is its own; rows of other names are left out. From a file of words it takes the
    mean over the words of its name, or over those that `words` says for it (as Chen et al., CVPR 2019, for ML-GCN).
    Raises UserError for files that are absent, damaged or do not fit each other, and for a class whose vector is
    missing, zero or not finite.
    """
    classes = classes_of(manifest)
    chosen = (
        _from_rows(params.file, params.names, classes)
        if params.names
        else _from_words(params.file, classes, words or {})
    )
    for name, vector in zip(classes, chosen, strict=True):
        if not (vector.isfinite().all() and vector.any()):
            raise UserError(
                f"{params.file}: the vector of '{name}' is zero or has a number that is not finite"
            )
    return Prompts(classes, chosen, chosen[None].clone())


def _from_rows(file: str, names_file: str, classes: Sequence[str]) -> Tensor:
    """Return the rows (C, m) of the classes in a table whose names stand in a file of their own."""
    vectors, names = _read_vectors(Path(file)), _read_names(Path(names_file))
    if len(vectors) != len(names):
        raise UserError(f"{file} holds {len(vectors)} vectors, but {names_file} {len(names)} names")
    row_of = {name: row for row, name in enumerate(names)}
    if missing := [name for name in classes if name not in row_of]:
        raise UserError(f"{names_file} lacks {len(missing)} of {len(classes)} classes, first '{missing[0]}'")
    return vectors[[row_of[name] for name in classes]]


def _from_words(file: str, classes: Sequence[str], words: Mapping[str, str]) -> Tensor:
    """Return the mean (C, m) over the vectors of each class's words; a word counts as written, else in lower case."""
    if unknown := sorted(set(words) - set(classes)):
        raise UserError(f"words says what stands for '{unknown[0]}', which is no class of the data set")
    of_class = {name: _words_of(name, words) for name in classes}
    spelled = {word for named in of_class.values() for word in named}
    found = read_words(Path(file), spelled | {word.lower() for word in spelled})
    rows = []
    for name, named in of_class.items():
        vectors = [found.get(word, found.get(word.lower())) for word in named]
        for word, vector in zip(named, vectors, strict=True):
            if vector is None:
                raise UserError(
                    f"{file} lacks '{word}' of class '{name}'; say in `words` of these prompts what stands for the "
                    f"class, as in words: {{{name}: words that are in the file}}"
                )
        rows.append(torch.from_numpy(np.mean([vector for vector in vectors if vector is not None], axis=0)))
    return torch.stack(rows).float()


def _words_of(name: str, words: Mapping[str, str]) -> list[str]:
    """Return the words that stand for a class: what `words` says of it, else its name at spaces, - and _."""
    named = words[name].split() if name in words else re.split(r"[\s_\-]+", name)
    if not any(named):
        raise UserError(f"class '{name}' has no word to look up; say in `words` what stands for it")
    return [word for word in named if word]


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
