"""Which stages a changed parameter reruns, with DVC's run cache on, in the real dvc.yaml.

The stages' commands are stood in for: what is tested is what DVC is told, not what the stages compute. A run cache
that did not see a parameter would hand back the outputs of another value (treeverse/dvc#10296).
"""

import copy
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from support.clone import PLACEHOLDERS
from support.pipeline import ROOT, TINY_PARAMS, at, resolve

from fieldmark.base.blocks import read_yaml
from fieldmark.preflight.presets import with_settings

STAND_IN = Path(__file__).with_name("stand_in.py")
ALWAYS = {"check", "report"}
IRT = {"train@irt", "arm@average", "evaluate@irt", "transfer@others"}
PMA = {"train@pma", "distill@pma", "evaluate@pma"}
STUDENTS = {"distill@pma", "evaluate@pma"}
PROMPTS = {"prompts@birds", "score_prompts@birds"}
CLIP = {"clip@tiny", "score_clip@tiny", *PROMPTS}
BACKBONE = {"pretrain@vit", "score_backbone@vit"}
DATA = {
    *(
        "prepare@birds",
        "split@retrieval",
        "split@classes",
        "split@others",
        "validate@birds",
        "describe@birds",
        "phrases@birds",
    ),
    *(*BACKBONE, *CLIP, *IRT, *PMA),
}

# one leaf of every block: the setting, and the stages that it reruns beside check and report
CHANGES = {
    "datasets.birds.world.side=40": {"download@birds", *DATA},
    "splits.retrieval.ks=[1, 4]": {"split@retrieval", "validate@birds", *IRT},
    "backbones.vit.images.side=40": {*BACKBONE, *IRT, *PMA},
    "phrases.birds.max_phrases=20": {"phrases@birds", *PMA},
    "clip_models.tiny.images.side=48": CLIP,
    "prompts.birds.zero_shot=false": PROMPTS,
    "methods.irt.text=phrases/birds": IRT - {"arm@average"},  # an arm names a text of its own
    "arms.average.change.margin=0.2": {"arm@average", "evaluate@irt", "evaluate@pma", "transfer@others"},
    "distill.pma.images.side=40": STUDENTS,
    "transfer.others.split=retrieval": {"transfer@others"},
    "irt.images.side=40": IRT,
    "pma.train.lr=1e-2": PMA,
    "runtime.workers=2": set(),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The repository as DVC sees it, every stage up to date."""
    top = tmp_path_factory.mktemp("run_cache")
    folder = top / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text(TINY_PARAMS)
    for name in ("dvc.yaml", ".dvcignore", *PLACEHOLDERS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    stages = resolve(top / "resolved", folder / "params.yaml")
    for dep in {dep for stage in stages.values() for dep in stage.deps if dep.startswith("src/")}:
        file = folder / dep if dep.endswith(".py") else folder / dep / "code.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    declared = {
        stage.command: {"name": stage.name, "deps": stage.deps, "outs": stage.outs, "params": stage.params}
        for stage in stages.values()
    }
    (top / "stages.json").write_text(json.dumps(declared))
    python = top / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    python.chmod(0o755)
    Repo.init(str(folder), no_scm=True).close()
    before = Path.cwd(), os.environ["PATH"]
    os.chdir(folder)
    os.environ["PATH"] = f"{python.parent}{os.pathsep}{before[1]}"
    yield folder
    os.chdir(before[0])
    os.environ["PATH"] = before[1]


def reproduced(folder: Path) -> set[str]:
    """Bring everything up to date; return the stages whose outputs came from their command or the run cache."""
    with Repo(str(folder)) as repo:
        return {stage.name for stage in repo.reproduce()}


def outputs(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a stage wrote."""
    paths = [path for top in ("data", "models", "reports") for path in sorted((folder / top).rglob("*"))]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file()
    }


@pytest.mark.slow
def test_every_leaf_is_seen_by_the_run_cache(project):
    """Change a leaf of every block in turn, go back, change them again: the right stages, and never stale outputs."""
    reproduced(project)
    default, text = outputs(project), (project / "params.yaml").read_text()
    before, changed = default, text
    for setting, expected in CHANGES.items():
        changed = with_settings(changed, [setting])
        (project / "params.yaml").write_text(changed)
        assert reproduced(project) == expected | ALWAYS, setting
        after = outputs(project)
        assert stale(before, after, expected - {"validate@birds"}) == set(), setting
        before = after
    everything = set.union(*CHANGES.values()) | ALWAYS
    (project / "params.yaml").write_text(text)
    assert reproduced(project) == everything
    assert outputs(project) == default
    (project / "params.yaml").write_text(changed)
    assert reproduced(project) == everything
    assert outputs(project) == before


def stale(before: dict[str, str], after: dict[str, str], stages: set[str]) -> set[str]:
    """Return the outputs of `stages` that are what they were before."""
    declared = {
        stage["name"]: stage["outs"] for stage in json.loads(Path("../stages.json").read_text()).values()
    }
    outs = [out for name in stages for out in declared[name]]
    return {
        file
        for file in after
        for out in outs
        if Path(file).is_relative_to(out) and after[file] == before.get(file)
    }


def test_every_block_has_a_leaf_here(project):
    blocks = {name for name, block in read_yaml(project / "params.yaml").items() if block}
    assert blocks == {setting.split(".")[0] for setting in CHANGES}


def test_every_leaf_of_the_default_is_in_the_key_of_the_run_cache(tmp_path):
    params = read_yaml(ROOT / "params.yaml")
    for stage in resolve(tmp_path).values():
        read = {name: at(params, name) for name in stage.params}
        for path in leaves(read):
            assert key(read) != key(changed_at(read, path)), f"{stage.name}: {path}"


def key(read: dict[str, Any]) -> str:
    """Return what DVC's run cache looks a stage up by, when it reads such parameters."""
    return _get_cache_hash({"cmd": "a", "params": {"params.yaml": copy.deepcopy(read)}, "outs": []}, key=True)


def leaves(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value that is no mapping."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, (*above, name))
        else:
            yield (*above, name)


def changed_at(read: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(read)
    *parents, last = path
    block = changed
    for name in parents:
        block = block[name]
    block[last] = "another value"
    return changed
