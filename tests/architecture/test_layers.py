"""Imports run one way, and files and functions stay short.

A room is a folder of code. Rooms lie in layers: a file may import from its own room and from the rooms of lower layers,
not from another room of its own layer.
"""

import ast
from itertools import chain
from pathlib import Path

import pytest

from .imports import FIELDMARK, SRC, STAGES, TOP, imported, late

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"base", "datasets.world", "longtail"}),
    frozenset({"configuration", "datasets.data.packed", "evaluation", "vision"}),
    frozenset(
        {
            "datasets.acquire",
            "datasets.data.batches",
            "datasets.data.roles",
            "results",
            "texts",
            "towers",
            "weights",
        }
    ),
    frozenset(
        {
            *("datasets.preparing", "datasets.sources", "datasets.splitting"),
            *("figures", "reporting", "runtime", "textcache"),
        }
    ),
    frozenset({"datasets.checking", "datasets.describing", "engine", "language", "prompting", "running"}),
    frozenset({"clip", "contract", "pretraining", "protocols"}),
    frozenset({"methods.model", "preflight", "scoring", "trained"}),
    frozenset(
        {
            *("methods", "methods.distillation", "methods.evaluation", "benchmarks", "fieldmark", "stages"),
            "inference",
        }
    ),
    frozenset({"exporting", "searching"}),
    frozenset({"command"}),
    frozenset({"__main__"}),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
TRAIN = {
    *("base", "configuration", "datasets.data.packed", "datasets.data.batches", "datasets.data.roles"),
    *("longtail", "texts", "towers", "vision", "runtime", "engine", "contract", "clip", "pretraining"),
    *("methods.model", "methods.distillation"),
}
SCORE = {"evaluation", "results", "figures", "protocols", "scoring", "reporting", "methods.evaluation"}
FILES = sorted(SRC.rglob("*.py"))
MAX_LINES_PER_FILE, MAX_LINES_PER_FUNCTION = 350, 60


def room(path: Path) -> str:
    """Return the room of a file: its folder, `methods.model` for methods/irt/model, `fieldmark` for the top."""
    if path.parent == STAGES:
        return "stages"
    parts = path.relative_to(FIELDMARK).parent.parts
    if not parts:
        return "fieldmark" if path == TOP else path.stem
    return ".".join(("methods", *parts[2:]) if parts[0] == "methods" else parts)


def method(path: Path) -> str:
    """Return the method that a file belongs to; empty for others."""
    parts = path.relative_to(SRC).parts
    return parts[2] if parts[:2] == ("fieldmark", "methods") else ""


def name(path: Path) -> str:
    return f"{path.relative_to(SRC)} ({room(path)})"


def pairs() -> list[tuple[Path, Path]]:
    """Return every (file, file that it imports), but for imports of what the top package itself holds."""
    return [(path, other) for path in FILES for other in sorted(imported(path)) if other != TOP]


def told(wrong: list[tuple[Path, Path]]) -> str:
    return "\n".join(f"{name(path)} imports {name(other)}" for path, other in wrong)


def test_every_room_has_one_layer_and_every_layer_its_rooms():
    listed = list(chain.from_iterable(LAYERS))
    assert len(listed) == len(set(listed))
    assert {room(path) for path in FILES} == set(listed)


def test_imports_run_one_way():
    wrong = [
        (path, other)
        for path, other in pairs()
        if room(other) != room(path) and LEVEL[room(other)] >= LEVEL[room(path)]
    ]
    assert not wrong, told(wrong)


def test_no_room_lies_higher_than_its_imports_ask():
    """A room that lies higher than it must may import more than it needs."""
    below = {
        level: {room(path) for path, other in pairs() if LEVEL[room(other)] == level - 1}
        for level in range(1, len(LAYERS))
    }
    loose = [each for level, rooms in enumerate(LAYERS[1:], 1) for each in sorted(rooms - below[level])]
    assert not loose, f"these may lie lower: {loose}"


def test_methods_never_import_one_another():
    wrong = [
        (path, other) for path, other in pairs() if method(path) and method(other) not in ("", method(path))
    ]
    assert not wrong, told(wrong)


def test_what_trains_imports_nothing_that_scores():
    """A new measure or figure would otherwise train again."""
    wrong = [(path, other) for path, other in pairs() if room(path) in TRAIN and room(other) in SCORE]
    assert not wrong, told(wrong)


def test_no_file_imports_a_name_whose_file_cannot_be_read_from_the_source():
    """Packages that find their public names late are for people; the closure of a stage would lack the file."""
    wrong = {name(path): sorted(late(path)) for path in FILES if late(path)}
    assert not wrong, wrong


def test_only_validation_imports_great_expectations():
    importing = [
        path.name for path in FILES if "import great_expectations" in path.read_text(encoding="utf-8")
    ]
    assert importing == ["validation.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MAX_LINES_PER_FILE
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 >= MAX_LINES_PER_FUNCTION
    ]
    assert not long, long
