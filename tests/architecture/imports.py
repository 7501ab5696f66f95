"""Reading who imports whom from the source, without running it."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
STAGES = SRC / "stages"


def file_of(module: str) -> Path | None:
    """Return the file of one of our modules (dotted name), None for others."""
    for base in (SRC, STAGES):
        path = base.joinpath(*module.split("."))
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
    return None


@cache
def imported(path: Path) -> frozenset[Path]:
    """Return the files of ours that `path` imports, at any depth of indentation; type-only imports aside."""
    found: set[Path] = set()
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(_files(name.name for name in node.names))
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(_files([node.module, *(f"{node.module}.{name.name}" for name in node.names)]))
    return frozenset(found - {path})


def closure(paths: list[Path]) -> set[Path]:
    """Return `paths` and everything of ours that they import, directly or not, with the packages above."""
    seen = {
        SRC / "fieldmark/__init__.py"
    }  # not entered: its `load` may import anything, and no stage calls it
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += [*imported(path), *_packages(path)]
    return seen - {SRC / "fieldmark/__init__.py"}


def _packages(path: Path) -> list[Path]:
    return [p / "__init__.py" for p in path.parents if SRC in p.parents and (p / "__init__.py").exists()]


def _files(modules):  # type: ignore[no-untyped-def]
    return {file for module in modules if (file := file_of(module))}


def _running(tree: ast.AST):  # type: ignore[no-untyped-def]
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _running(node)
