"""The MATLAB files in which some data sets keep their annotations."""

from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.base.errors import UserError


def read_mat(path: Path, *names: str) -> list[Any]:
    """Return the variables `names` of a MATLAB file (up to version 7.2), each as a flat array (N,).

    Raises UserError when the file is not a MATLAB file or lacks one of the variables.
    """
    import scipy.io  # slow to import, so only the sources with such files do it

    try:
        content = scipy.io.loadmat(str(path))
    except (
        OSError,
        ValueError,
        TypeError,
        NotImplementedError,
        EOFError,
        IndexError,
        scipy.io.matlab.MatReadError,
    ) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(f"{path} is no MATLAB file that can be read ({reason}); copy it again") from None
    for name in names:
        if name not in content:
            raise UserError(f"{path} has no variable '{name}'; it is not the published file")
    return [content[name].reshape(-1) for name in names]


def whole_numbers(values: Any, path: Path, name: str) -> list[int]:
    """Return the values (N,) of the variable `name` as whole numbers from 1. Raises UserError for anything else."""
    numbers = [int(value) for value in values if isinstance(value, np.number) and np.isfinite(value)]
    if len(numbers) < len(values) or any(number < 1 for number in numbers) or (numbers != values).any():
        raise UserError(f"{path}: '{name}' should hold whole numbers from 1; it is not the published file")
    return numbers


def scalar(value: Any, path: Path) -> Any:
    """Return the one element of a cell, which MATLAB wraps in arrays. Raises UserError when it is not one."""
    while isinstance(value, np.ndarray):
        if value.size != 1:
            raise UserError(f"{path}: a cell holds {value.size} values, it should hold one; copy it again")
        value = value.reshape(-1)[0]
    return value
