"""Pickles of plain values and numeric arrays are read as they are; all that would run a program is refused."""

import datetime
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from support.sources import refused

from fieldmark.datasets.acquire.pickles import read_pickle

CONTENT = {
    "names": ["a", "b\u00e9"],
    "box": (1.5, 2, -3.0, 4),
    "whole": np.arange(6, dtype=np.int64).reshape(2, 3),
    "bytes": np.array([1, 255], np.uint8),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big": np.array([1, 2], ">i4"),
    "none": np.array([]),
    "true": np.array([True, False]),
    "scalar": np.int64(7),
    "nothing": None,
}
PLAIN = {
    **CONTENT,
    "box": [1.5, 2, -3.0, 4],
    "whole": [[0, 1, 2], [3, 4, 5]],
    "bytes": [1, 255],
    "columns": [[0, 1, 2], [3, 4, 5]],
    "big": [1, 2],
    "none": [],
    "true": [True, False],
    "scalar": 7,
}
# As Python 2 wrote {"easy": array([3, 5])} with the protocol 2: texts are bytes, NumPy has its former names.
PYTHON_2 = (
    b"\x80\x02}q\x01U\x04easyq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
    b"\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02i8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff"
    b"\xff\xff\xffK\x00tb\x89U\x10\x03\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00tbs."
)


class Runs:
    """An object whose pickle runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def write(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_numeric_arrays_are_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert read_pickle(write(tmp_path / "a.pkl", CONTENT, protocol)) == PLAIN


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(PYTHON_2)
    assert read_pickle(tmp_path / "a.pkl") == {"easy": [3, 5]}
    names = [opcode.name for opcode, _, _ in pickletools.genops(PYTHON_2)]
    assert "SHORT_BINSTRING" in names  # which Python 3 never writes


@pytest.mark.parametrize(
    "content",
    [
        {1: "a key that is no text"},
        {"a": {1, 2}},
        {"a": b"bytes"},
        OrderedDict(a=1),
        datetime.date(2020, 1, 1),
        np.array([None, "a"], dtype=object),
        np.array(["text"]),
        np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([1j]),
        np.dtype("i8"),
        print,
        np.ndarray,
        [[[[[[[[["deep"]]]]]]]]],
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, content: object) -> None:
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        with refused("it is not the published file; copy it again"):
            read_pickle(write(tmp_path / "a.pkl", {"x": content}, protocol))


def test_a_program_does_not_run(tmp_path: Path) -> None:
    for number, content in enumerate((Runs("touch {}"), {"gnd": [Runs("touch {}")]})):
        mark = tmp_path / f"ran{number}"
        data = pickle.dumps(content, protocol=0).replace(b"{}", str(mark).encode())
        (tmp_path / "a.pkl").write_bytes(data)
        with refused(r"\('posix'\.'system'\)"):
            read_pickle(tmp_path / "a.pkl")
        assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'/etc/hostname'\ntR.",
        b"cnumpy\nndarray\n(I1000000000\ntR.",  # memory
        b"c__builtin__\nbytes\n(I1000000000\ntR.",
        b"c_codecs\nencode\n(S'a'\nS'zlib'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I9\ntNI00\nS''\ntb.",
        b"\x80\x02U\x01aQ.",  # a persistent id
        b"\x80\x02\x82\x01.",  # an extension
        b"]" * 100_000 + b"a" * 99_999 + b".",
    ],
)
def test_pickles_made_to_harm_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    with refused("it is not the published file; copy it again"):
        read_pickle(tmp_path / "a.pkl")


def test_an_empty_array_of_a_huge_shape_takes_no_memory(tmp_path: Path) -> None:
    data = pickle.dumps(np.zeros((1000, 0)), protocol=2).replace(b"M\xe8\x03", b"J\x00\x00\x00\x7f")
    (tmp_path / "a.pkl").write_bytes(data)
    assert read_pickle(tmp_path / "a.pkl") == []


def test_a_file_that_is_cut_anywhere_is_one_line(tmp_path: Path) -> None:
    whole = pickle.dumps(CONTENT, protocol=2)
    for length in range(0, len(whole), 7):
        (tmp_path / "a.pkl").write_bytes(whole[:length])
        with refused(r"a\.pkl .*not the published file"):
            read_pickle(tmp_path / "a.pkl")
    with refused("does not exist"):
        read_pickle(tmp_path / "b.pkl")
