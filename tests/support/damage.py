"""Systematic damage to the files of a data set: each file, and each field of its first entry, in turn."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

Damage = tuple[str, bytes | None]  # what was done, and what the file then holds; None removes it
WORDS = ("", "nan", "-1", "1e999", "x" * 3000, "null", "[]", "\ud83d", "a\x00b")
VALUES: tuple[Any, ...] = (
    None, True, -1, 0.5, 10**400, float("nan"), float("inf"), "", "x", "x" * 3000, "\ud83d", "a\nb", [], [None], {},
)  # fmt: skip


def damages(path: Path) -> Iterator[Damage]:
    """Yield every damage to a file."""
    data = path.read_bytes()
    yield "absent", None
    yield "empty", b""
    yield "cut", data[: len(data) // 2]
    yield "bytes that are no text", data[:5] + b"\xff\xfe\x80" + data[5:]
    yield "zeros", b"\x00" * len(data)
    yield "a byte-order mark", b"\xef\xbb\xbf" + data
    yield "a page of the web", b"<!DOCTYPE html><html><body>Sign in</body></html>"
    yield "a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    yield from {".json": _json, ".xml": _xml, ".mat": _mat, ".txt": _table, ".csv": _table}.get(
        path.suffix, _none
    )(data)


def _none(_: bytes) -> Iterator[Damage]:
    return iter(())


def _json(data: bytes) -> Iterator[Damage]:
    content = json.loads(data)
    for value in VALUES:
        yield f"the whole is {value!r:.20}", json.dumps(value).encode()
    for name, entries in content.items():
        yield (
            f"{name} is absent",
            json.dumps({key: one for key, one in content.items() if key != name}).encode(),
        )
        yield f"{name}[0] is there twice", json.dumps({**content, name: [entries[0], *entries]}).encode()
        for value in (*VALUES, [[]]):
            yield f"{name} is {value!r:.20}", json.dumps({**content, name: value}).encode()
        for field in entries[0]:
            if isinstance(entries[0][field], list):  # a box
                for value in VALUES:
                    first = {**entries[0], field: [value, *entries[0][field][1:]]}
                    changed = {**content, name: [first, *entries[1:]]}
                    yield f"{name}[0].{field}[0] is {value!r:.20}", json.dumps(changed).encode()
            rest = {key: value for key, value in entries[0].items() if key != field}
            for what, first in (
                ("absent", rest),
                *((repr(v)[:20], {**entries[0], field: v}) for v in VALUES),
            ):
                changed = {**content, name: [first, *entries[1:]]}
                yield f"{name}[0].{field} is {what}", json.dumps(changed).encode()


def _xml(data: bytes) -> Iterator[Damage]:
    text = data.decode()
    for match in re.finditer(r">([^<>]+)<", text):
        for word in WORDS:
            changed = f"{text[: match.start(1)]}{word}{text[match.end(1) :]}"
            yield f"'{match[1]}' is {word!r:.20}", changed.encode(errors="surrogatepass")
    for match in re.finditer(r"<(\w+)>[^<>]*</\1>", text):
        for what, changed in (
            ("absent", text[: match.start()] + text[match.end() :]),
            ("empty", f"{text[: match.start()]}<{match[1]}/>{text[match.end() :]}"),
        ):
            yield f"'{match[0]}' is {what}", changed.encode()
    for word in WORDS:
        yield (
            f"declared as {word!r:.20}",
            f'<?xml version="1.0" encoding="{word}"?>{text}'.encode(errors="surrogatepass"),
        )


def _table(data: bytes) -> Iterator[Damage]:
    """Each value of the last line in turn, for it is none of a header; and lines too many."""
    text = data.decode()
    start = text.rstrip("\n").rfind("\n") + 1
    for match in re.finditer(r"[^\s,]+", text[start:]):
        for word in WORDS:
            changed = f"{text[: start + match.start()]}{word}{text[start + match.end() :]}"
            yield f"'{match[0]}' is {word!r:.20}", changed.encode(errors="surrogatepass")
    yield "UTF-16", text.encode("utf-16")
    yield "tabs", re.sub(r"[ ,]", "\t", text).encode()
    yield "blank lines", text.replace("\n", "\n\n").encode()
    yield "without its last line", text[:start].encode()
    yield "lines of Windows", data.replace(b"\n", b"\r\n")
    yield "the last line twice", data + text[start:].encode()
    yield "one more value", data.rstrip(b"\n") + b" more\n"


def _mat(data: bytes) -> Iterator[Damage]:
    def saved(variables: dict[str, Any]) -> bytes:
        stream = io.BytesIO()
        scipy.io.savemat(stream, variables)
        return stream.getvalue()

    def fresh() -> dict[str, Any]:
        return {key: value for key, value in scipy.io.loadmat(io.BytesIO(data)).items() if key[0] != "_"}

    for name, values in fresh().items():
        yield f"{name} is absent", saved({key: value for key, value in fresh().items() if key != name})
        for other in (np.zeros((1, 0)), np.array([["text"]]), np.array([[float("nan")]]), np.array([[-1]])):
            yield f"{name} is {other!r}", saved({**fresh(), name: other})
        for field in values.dtype.names or ():
            for value in (-1, 1e300, float("nan"), float("inf"), "", "x", np.zeros((1, 0)), np.zeros((2, 2))):
                variables = fresh()
                variables[name][0, 0][field] = value
                yield f"{name}.{field} is {value!r:.20}", saved(variables)
