"""Imports run one way, and files and functions stay short."""

import ast
from pathlib import Path

import pytest

from .imports import SRC, STAGES, imported

BASE = {"base"}
DATA = {"datasets", "evaluation", "language", *BASE}
MAY_IMPORT = {
    "base": BASE,
    "datasets": {"datasets", *BASE},
    "evaluation": {"evaluation", *BASE},
    "language": {"language", "datasets", *BASE},
    "vision": {"vision", *BASE},
    "reporting": {"reporting", *DATA},
    "engine": {"engine", "vision", *DATA},
    "methods": {"methods", "engine", "reporting", "vision", *DATA},
    "top": {"top", "methods", "engine", "reporting", "vision", *DATA},
    "stages": {"stages", "engine", "methods", "reporting", "vision", *DATA},
}
BASE_FILES = {"errors.py", "params.py", "progress.py", "files.py", "presets.py"}
FILES = sorted(SRC.rglob("*.py"))
MOST_LINES_PER_FILE, MOST_LINES_PER_FUNCTION = 350, 60


def layer(path: Path) -> str:
    if STAGES in path.parents:
        return "stages"
    place = path.relative_to(SRC / "fieldmark")
    if len(place.parts) == 1:
        return "base" if place.name in BASE_FILES else "top"  # `load` and what it returns
    return "top" if place.parts[0] == "benchmarks" else place.parts[0]


def method(path: Path) -> tuple[str, ...]:
    """Return (method,) or (method, "model" | "evaluation") for a file of a method, () for others."""
    parts = path.relative_to(SRC).parts
    return parts[2:-1] if parts[:2] == ("fieldmark", "methods") else ()


def test_every_file_belongs_to_a_layer():
    assert {layer(path) for path in FILES} <= MAY_IMPORT.keys()


def test_imports_run_one_way():
    wrong = [
        f"{path.relative_to(SRC)} ({layer(path)}) imports {other.relative_to(SRC)} ({layer(other)})"
        for path in FILES
        for other in imported(path)
        if layer(other) not in MAY_IMPORT[layer(path)] and other != SRC / "fieldmark/__init__.py"
    ]
    assert not wrong, "\n".join(wrong)


def test_no_method_imports_a_sibling_and_no_model_its_evaluation():
    wrong = []
    for path in FILES:
        own = method(path)
        for other in imported(path):
            theirs = method(other)
            if own and theirs and theirs[0] != own[0]:
                wrong.append(f"{path.relative_to(SRC)} imports a sibling, {other.relative_to(SRC)}")
            if own[1:] == ("model",) and (theirs[1:] == ("evaluation",) or layer(other) == "reporting"):
                wrong.append(f"{path.relative_to(SRC)} is a model and imports {other.relative_to(SRC)}")
    assert not wrong, "\n".join(wrong)


def test_only_validation_imports_great_expectations():
    importing = [
        path.name for path in FILES if "import great_expectations" in path.read_text(encoding="utf-8")
    ]
    assert importing == ["validation.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MOST_LINES_PER_FILE
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 >= MOST_LINES_PER_FUNCTION
    ]
    assert not long, long
