"""Pickles that some data sets are published as: plain values and numeric arrays are read, anything else is refused.

A pickle is a program. This reader runs none of its calls but those with which NumPy describes an array, and these make
lists of numbers here, without NumPy. Whatever else a file asks for ends in a UserError.
"""

import codecs
import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.base.errors import UserError

LARGEST = 500_000_000  # bytes of a file; the published ones have a hundredth of it
NUMERIC = re.compile(r"[biuf][1248]|\?")
PICKLE = "the published file; copy it again"


def read_pickle(path: Path) -> Any:
    """Return what a pickle holds: dicts, lists, tuples, texts, numbers; arrays of numbers become (nested) lists.

    Python 2 wrote texts as bytes: they are read as Latin-1. Raises UserError when the file is absent, damaged, too
    large, or asks for anything beside numeric arrays.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} has more than {LARGEST // 10**6} MB; it is not {PICKLE}")
        content = _Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; the layout is not complete") from None
    except UserError:
        raise
    except _RefusedError as error:
        raise UserError(
            f"{path} holds more than numbers, texts and arrays ({error}); it is not {PICKLE}"
        ) from None
    except (MemoryError, RecursionError):
        raise UserError(f"{path} is not {PICKLE}") from None
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason!a}); it is not {PICKLE}") from None
    return _plain(content, path)


class _RefusedError(Exception):
    """The file asks for what no numeric array needs."""


class _Type:
    """Stands for the type of an array, `numpy.dtype`: its code such as i8, and then its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not (isinstance(code, str) and NUMERIC.fullmatch(code)):
            raise _RefusedError(f"an array of type {ascii(code)[:40]}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def values(self, data: Any) -> Any:
        """Return the numbers in `data`, bytes or a text of Latin-1, as a flat array."""
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(raw, np.dtype(f"{self.order}{self.code}"))


class _Array:
    """Stands for an array: its shape, type and bytes come as its state."""

    def __init__(self, *_: Any) -> None:
        self.numbers: Any = []

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Type):
            raise _RefusedError("an array without a numeric type")
        self.numbers = _shaped(kind.values(data), shape, "F" if fortran else "C")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    """Read an array as protocol 5 writes it."""
    array = _Array()
    array.numbers = _shaped(kind.values(data), shape, "F" if order == "F" else "C")
    return array


def _shaped(values: Any, shape: Any, order: Any) -> Any:
    """Return nested lists; an empty array is one empty list, for its shape may claim any number of them."""
    return values.reshape(shape, order=order).tolist() if values.size else []


def _scalar(kind: Any, data: Any) -> Any:
    return kind.values(data)[0].item()


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    if encoding != "latin1" or not isinstance(text, str):
        raise _RefusedError(f"a text in {ascii(encoding)[:40]}")
    return codecs.encode(text, "latin1")


def _empty(*given: Any) -> bytes:
    """No bytes, as Python 3 writes them for Python 2."""
    if given:
        raise _RefusedError("a call of bytes")
    return b""


_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFERS = ("numpy.core.numeric", "numpy._core.numeric")
_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): object(),  # named as the kind of array, and never called
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _empty,
    **{(module, "_reconstruct"): _Array for module in _MODULES},
    **{(module, "scalar"): _scalar for module in _MODULES},
    **{(module, "_frombuffer"): _from_buffer for module in _BUFFERS},
}


class _Reader(pickle.Unpickler):
    """Finds the names of `_ALLOWED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name of NumPy."""
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"{ascii(module)[:40]}.{ascii(name)[:40]}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: there is nothing outside the file."""
        raise _RefusedError("a reference to something outside it")


def _plain(value: Any, path: Path, depth: int = 0) -> Any:
    """Return the value with lists in place of arrays. Raises UserError for any other object."""
    if depth > 6:
        raise UserError(f"{path} is nested too deeply; it is not {PICKLE}")
    if isinstance(value, _Array):
        return value.numbers
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(inner, path, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, path, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(
        f"{path} holds more than numbers, texts and arrays ({type(value).__name__}); it is not {PICKLE}"
    )
