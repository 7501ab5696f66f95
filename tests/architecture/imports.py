"""Reading who imports whom from the source, without running it."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
STAGES = SRC / "stages"
FIELDMARK = SRC / "fieldmark"
TOP = FIELDMARK / "__init__.py"  # its `load` may import anything, and no stage calls it


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
    files = {file_of(name) for module, names in _imports(path) for name in (module, *names)}
    return frozenset(files - {None, path})  # type: ignore[arg-type]


@cache
def late(path: Path) -> frozenset[str]:
    """Return the names that `path` imports from a package that finds them when they are asked for.

    Which file such a name is in cannot be read from the source, so that no closure would hold it.
    """
    return frozenset(
        name
        for module, names in _imports(path)
        for name in names
        if file_of(name) is None and _finds_late(file_of(module))
    )


def closure(paths: Iterable[Path]) -> set[Path]:
    """Return `paths` and everything of ours that they import, directly or not, with the packages above."""
    seen = {TOP}  # not entered
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += [*imported(path), *_packages(path)]
    return seen - {TOP}


def _imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each imported module with the dotted names that are taken from it."""
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((name.name, ()) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, tuple(f"{node.module}.{name.name}" for name in node.names)


def _packages(path: Path) -> list[Path]:
    return [p / "__init__.py" for p in path.parents if SRC in p.parents and (p / "__init__.py").exists()]


def _finds_late(path: Path | None) -> bool:
    if path is None or path.name != "__init__.py":
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in body)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _running(node)
