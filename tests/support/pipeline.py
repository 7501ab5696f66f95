"""The stages of dvc.yaml as DVC resolves them, without running any."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ResolvedStage:
    """One stage: its name such as `train@irt`, and what it declares, as paths from the root."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.name.partition("@")[0]

    @property
    def item(self) -> str:
        return self.name.partition("@")[2]


def resolve(folder: Path, params: Path = ROOT / "params.yaml") -> dict[str, ResolvedStage]:
    """Resolve dvc.yaml with `params` in an empty folder; DVC raises for an interpolation that leads nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dvc.yaml", folder / "dvc.yaml")
    if params != folder / "params.yaml":
        shutil.copy(params, folder / "params.yaml")
    Repo.init(str(folder), no_scm=True).close()
    with Repo(str(folder)) as repo:
        repo.index.check_graph()  # no cycle, no output made twice
        return {stage.name: _resolved(stage, folder) for stage in repo.index.stages}


def at(params: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path. Raises KeyError when it is absent."""
    value: Any = params
    for name in path.split("."):
        value = value[name]
    return value


def _resolved(stage: Any, folder: Path) -> ResolvedStage:
    named = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    return ResolvedStage(
        name=stage.name,
        command=stage.cmd,
        deps=tuple(Path(dep.fs_path).relative_to(folder).as_posix() for dep in files),
        outs=tuple(Path(out.fs_path).relative_to(folder).as_posix() for out in stage.outs),
        params=tuple(name for dep in named for name in dep.params),
    )
