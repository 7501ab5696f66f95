"""dvc.yaml declares what each stage runs: DVC does not follow imports."""

from pathlib import Path

import pytest
from support.pipeline import ROOT, at, resolve

from fieldmark.base.blocks import read_yaml
from fieldmark.preflight.presets import with_settings

from .imports import SRC, STAGES, closure

PARAMS = read_yaml(ROOT / "params.yaml")
OPENS_SOURCE = ("download", "prepare", "validate")  # these find sources/<name>.py by name
RUNS_METHOD = {"train": "*/model/*.py", "evaluate": "*/*/*.py"}  # of any method: they share their deps
GIVEN = {"params.yaml", "data/text/none", "models/clip_models/none"}  # in Git
FIELDMARK = SRC / "fieldmark"
SOURCES = FIELDMARK / "datasets/sources"


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    return resolve(tmp_path_factory.mktemp("resolved"))


def entry_points(stage) -> list[Path]:
    """Return the files that a stage imports by name: its script, and what it finds at run time."""
    files = [STAGES / f"{stage.kind}.py"]
    if stage.kind in OPENS_SOURCE:
        files.append(SOURCES / f"{PARAMS['datasets'][stage.item]['source']}.py")
    if stage.kind in ("train", "evaluate", "distill"):
        files += (FIELDMARK / "methods" / stage.item / "model").glob("*.py")
    if stage.kind == "distill":
        files += (FIELDMARK / "methods" / stage.item / "distillation").glob("*.py")
    if stage.kind == "evaluate":
        files += (FIELDMARK / "methods" / stage.item / "evaluation").glob("*.py")
    return files


def covers(dep: str, path: Path) -> bool:
    return path.is_relative_to(ROOT / dep)


def code_deps(stage) -> list[str]:
    return [dep for dep in stage.deps if dep.startswith("src/")]


def test_every_stage_script_is_a_stage(stages):
    scripts = {path.stem for path in STAGES.glob("*.py") if not path.name.startswith("_")}
    assert scripts - {"preset"} == {stage.kind for stage in stages.values()}


def test_deps_cover_what_each_stage_imports(stages):
    lacking = []
    for stage in stages.values():
        for path in sorted(closure(entry_points(stage))):
            if not any(covers(dep, path) for dep in code_deps(stage)):
                lacking.append(f"{stage.name} lacks {path.relative_to(ROOT)}")
    assert not lacking, "\n".join(lacking)


@pytest.mark.parametrize("source", sorted(path.stem for path in SOURCES.glob("[a-z]*.py")))
def test_deps_cover_what_every_source_imports(tmp_path, source):
    """A preset may put any source in place of another."""
    text = with_settings(
        (ROOT / "params.yaml").read_text(), [f"datasets.birds={{source: {source}, {source}: {{}}}}"]
    )
    (tmp_path / "params.yaml").write_text(text)
    stages = resolve(tmp_path, tmp_path / "params.yaml")
    needed = closure([SOURCES / f"{source}.py"])
    lacking = {
        f"{kind}@birds lacks {path.relative_to(ROOT)}"
        for kind in OPENS_SOURCE
        for path in needed
        if not any(covers(dep, path) for dep in code_deps(stages[f"{kind}@birds"]))
    }
    assert not lacking, "\n".join(sorted(lacking))


def test_no_dep_on_code_is_superfluous_or_absent(stages):
    """The items of a stage share one list of code: what any of them uses is not superfluous."""
    superfluous = []
    for stage in stages.values():
        any_source = list(SOURCES.glob("*.py")) if stage.kind in OPENS_SOURCE else []
        siblings = [file for one in stages.values() if one.kind == stage.kind for file in entry_points(one)]
        needed = closure([*siblings, *any_source])
        for dep in code_deps(stage):
            if stage.kind != "check" and not any(covers(dep, path) for path in needed):
                superfluous.append(f"{stage.name} does not use {dep}")
            assert (ROOT / dep).exists(), f"{stage.name}: {dep}"
    assert not superfluous, "\n".join(superfluous)


def test_every_input_is_made_by_a_stage(stages):
    made = {out: stage.name for stage in stages.values() for out in stage.outs}
    for stage in stages.values():
        for dep in set(stage.deps) - set(code_deps(stage)) - GIVEN:
            makers = [out for out in made if Path(dep).is_relative_to(out) or Path(out).is_relative_to(dep)]
            assert makers, f"{stage.name} reads {dep}, which no stage makes"


def test_params_exist_and_runtime_is_among_none(stages):
    for stage in stages.values():
        for key in stage.params:
            at(PARAMS, key)
            assert not key.startswith("runtime"), stage.name


def test_changing_a_method_concerns_its_own_stages_only(stages):
    concerned = {name for name, stage in stages.items() if "irt" in stage.params}
    assert concerned == {"train@irt", "evaluate@irt"}
