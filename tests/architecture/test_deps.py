"""dvc.yaml declares what each stage runs, and little else: DVC does not follow imports.

A stage's list of code is checked in both directions. What an item of it imports must be declared, or an edit would
leave a stale result. What is declared should be imported, or an edit would train again for nothing.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.pipeline import ROOT, ResolvedStage, at, resolve

from fieldmark.base.blocks import read_yaml

from .imports import FIELDMARK, SRC, STAGES, closure

PIPELINE = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
JUDGE = {"loca": {"dataset": "scenes", "split": "longtail", "backbones": ["vit"]}}
TRANSFER = {"others": {"method": "irt", "dataset": "birds", "split": "retrieval"}}
# Kinds of stages of which the default has no item: an arm for each method, called as that, and judgements elsewhere.
PARAMS = {**read_yaml(ROOT / "params.yaml"), "judge": JUDGE, "transfer": TRANSFER}
PARAMS["arms"] = {
    name: {"method": name, "variant": "any", **item} for name, item in PARAMS["methods"].items()
}
SOURCES, METHODS = FIELDMARK / "datasets/sources", FIELDMARK / "methods"
SOURCE_NAMES = sorted(path.stem for path in SOURCES.glob("[a-z]*.py"))
OPEN_SOURCE = ("download", "prepare", "validate")  # these find sources/<source>.py by name
FOUND = {  # what a stage finds by name in the folder of its method
    "train": ["__init__.py", "model"],
    "arm": ["__init__.py", "model"],
    "distill": ["__init__.py", "model", "distillation"],
    "evaluate": ["__init__.py", "model", "evaluation"],
    "transfer": ["__init__.py", "model", "evaluation"],
}
# scripts that people and workflows call
NO_STAGES = ("claims.py", "coverage.py", "in_copy.py", "preset.py", "publish.py", "repro.py", "review.py")
TRAININGS = ("pretrain", "clip", "train", "distill")  # an arm has what train has
GIVEN = {"params.yaml", "data/pretrained", "data/text/none", "models/clip_models/none"}  # in Git
MAX_UNUSED, MAX_LINES = 20, 285  # of dvc.yaml
Stages = Mapping[str, ResolvedStage]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    folder = tmp_path_factory.mktemp("resolved")
    (folder / "params.yaml").write_text(json.dumps(PARAMS))
    return resolve(folder, folder / "params.yaml")


def python_in(place: Path) -> list[Path]:
    """Return the code of a file or a folder."""
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def script_of(stage: ResolvedStage) -> Path:
    """Return the script in a command such as `python src/stages/score.py prompts/scenes`."""
    return ROOT / stage.command.split()[1]


def entry_points(stage: ResolvedStage) -> list[Path]:
    """Return the files that a stage item imports by name: its script, and what it finds at run time."""
    files = [script_of(stage)]
    if stage.kind in OPEN_SOURCE:
        files.append(SOURCES / f"{PARAMS['datasets'][stage.item]['source']}.py")
    method = TRANSFER[stage.item]["method"] if stage.kind == "transfer" else stage.item
    for part in FOUND.get(stage.kind, []):
        files += python_in(METHODS / method / part)
    if stage.kind == "check":  # it reads the schemas of all
        files += [*python_in(SOURCES), *METHODS.glob("*/model/*.py"), *METHODS.glob("*/distillation/*.py")]
    return files


def code_deps(stage: ResolvedStage) -> list[str]:
    return [dep for dep in stage.deps if dep.startswith("src/")]


def declared(stage: ResolvedStage) -> set[Path]:
    """Return the code files that a stage item declares."""
    return {path for dep in code_deps(stage) for path in python_in(ROOT / dep)}


def undeclared(stage: ResolvedStage, files: set[Path]) -> list[str]:
    """Name the files that a stage item imports and does not declare."""
    return [f"{stage.name} lacks {path.relative_to(ROOT)}" for path in sorted(files - declared(stage))]


def named_whole(text: str) -> dict[str, set[str]]:
    """Return the rooms that the comment above the deps of each stage names: "# whole: ROOM, ROOM; why"."""
    rooms: dict[str, set[str]] = {}
    stage = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"  (\w+):", line):
            stage = header[1]
        if comment := re.fullmatch(r" +# whole: ([^;]+)(?:; .+)?", line):
            rooms[stage] = set(comment[1].split(", "))
    return rooms


def written_deps() -> dict[str, list[str]]:
    """Return the deps of each stage as they are written, before DVC fills them in."""
    content = read_yaml(ROOT / "dvc.yaml")["stages"]
    return {name: stage.get("do", stage)["deps"] for name, stage in content.items()}


def test_every_stage_script_is_a_stage(stages):
    scripts = {path for path in STAGES.glob("*.py") if not path.name.startswith("_")}
    assert scripts - {STAGES / name for name in NO_STAGES} == {script_of(stage) for stage in stages.values()}


def test_deps_cover_what_each_item_imports(stages):
    lacking = [line for stage in stages.values() for line in undeclared(stage, closure(entry_points(stage)))]
    assert not lacking, "\n".join(lacking)


@pytest.fixture(scope="module")
def every_source(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """The pipeline with a data set from each source, called by the source's name."""
    folder = tmp_path_factory.mktemp("sources")
    items = {name: {"source": name, name: {}} for name in SOURCE_NAMES}
    content = {**PARAMS, "datasets": {**PARAMS["datasets"], **items}}
    (folder / "params.yaml").write_text(json.dumps(content))
    return resolve(folder, folder / "params.yaml")


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_deps_cover_what_every_source_imports(every_source, source):
    """A preset may put any source in place of another."""
    needed = closure([SOURCES / f"{source}.py"])
    lacking = [line for kind in OPEN_SOURCE for line in undeclared(every_source[f"{kind}@{source}"], needed)]
    assert not lacking, "\n".join(lacking)


def unused_by_all(stages: Stages) -> dict[tuple[str, str], set[Path]]:
    """Return, for each stage and each folder of its deps, the files that no item of the stage imports."""
    used: dict[str, set[Path]] = {}
    held: dict[tuple[str, str], set[Path]] = {}
    for stage in stages.values():
        used.setdefault(stage.kind, set()).update(closure(entry_points(stage)))
        for dep in code_deps(stage):
            room = dep.removeprefix("src/fieldmark/")
            held.setdefault((stage.kind, room), set()).update(python_in(ROOT / dep))
    return {(kind, room): files - used[kind] for (kind, room), files in held.items()}


def test_no_folder_holds_what_no_item_imports_unless_a_comment_names_it(stages):
    whole = named_whole(PIPELINE)
    wrong = [
        f"{kind} uses nothing of {path.relative_to(ROOT)}"
        for (kind, room), files in unused_by_all(stages).items()
        for path in sorted(files)
        if kind != "check" and room not in whole.get(kind, set())  # `check` concerns all code there is
    ]
    assert not wrong, "\n".join(wrong)


def test_no_comment_names_a_room_that_is_used_altogether_or_not_declared(stages):
    unused = unused_by_all(stages)
    wrong = [
        f"{kind}: {room}"
        for kind, rooms in named_whole(PIPELINE).items()
        for room in sorted(rooms)
        if not unused.get((kind, room))
    ]
    assert not wrong, wrong


def test_trainings_declare_little_that_they_do_not_import(stages):
    """An edit to such a file trains that item again for nothing."""
    pairs = [
        f"{stage.name} does not import {path.relative_to(ROOT)}"
        for stage in stages.values()
        if stage.kind in TRAININGS
        for path in sorted(declared(stage) - closure(entry_points(stage)))
    ]
    assert len(pairs) <= MAX_UNUSED, "\n".join([f"{len(pairs)} pairs:", *pairs])


def test_deps_are_rooms_data_and_the_stages_scripts(stages):
    """No file of a room stands alone, so that a new file needs no new line."""
    scripts = {stage.kind: script_of(stage).relative_to(ROOT).as_posix() for stage in stages.values()}
    wrong = [
        f"{kind}: {dep}"
        for kind, deps in written_deps().items()
        for dep in deps
        if dep not in (scripts[kind], "src/stages/_stage.py", "src/stages/_task.py")
        and not dep.endswith(
            ("/${item.source}.py", "/methods/${key}/__init__.py", "/${item.method}/__init__.py")
        )
        and dep.startswith("src/")
        and dep.endswith(".py")
    ]
    assert not wrong, wrong
    rooms = {dep for stage in stages.values() for dep in code_deps(stage) if not dep.endswith(".py")}
    assert all((ROOT / room).is_dir() for room in rooms), rooms
    assert all((ROOT / dep).exists() for stage in stages.values() for dep in code_deps(stage))


def test_no_dep_lies_within_another(stages):
    for stage in stages.values():
        deps = [Path(dep) for dep in stage.deps]
        assert not [str(dep) for dep in deps if any(other in dep.parents for other in deps)], stage.name


def test_the_pipeline_is_short():
    assert len(PIPELINE.splitlines()) < MAX_LINES


def test_comments_are_read():
    text = "stages:\n  a:\n    do:\n      # whole: x/y, z; done in seconds\n      deps: []\n  b:\n    # whole: z\n"
    assert named_whole(text) == {"a": {"x/y", "z"}, "b": {"z"}}
    assert PIPELINE.count("# whole: ") == len(named_whole(PIPELINE))


LOADED = """
import json, runpy, sys
from importlib import import_module
sys.path[:0] = sys.argv[1:3]
for name in sys.argv[3:]:
    import_module(name)
print(json.dumps([module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]))
"""


@pytest.mark.parametrize("name", ["train@irt", "evaluate@pma"])
def test_what_is_read_from_the_source_is_what_python_imports(stages, name):
    """The closure may hold more: what functions import when they are called."""
    files = entry_points(stages[name])
    modules = [
        ".".join(path.relative_to(SRC).with_suffix("").parts).removeprefix("stages.") for path in files
    ]
    command = [sys.executable, "-c", LOADED, str(SRC), str(STAGES), *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {Path(path) for path in re.findall(r'"([^"]+)"', done.stdout) if path.startswith(f"{SRC}/")}
    assert len(loaded) > 20
    assert loaded - {FIELDMARK / "__init__.py"} <= closure(files)


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
    assert concerned == {"train@irt", "arm@irt", "evaluate@irt", "transfer@others"}


def test_an_arm_runs_what_its_method_runs_from_its_own_backbone(stages):
    for name, item in PARAMS["methods"].items():
        arm, method, evaluation = (stages[f"{kind}@{name}"] for kind in ("arm", "train", "evaluate"))
        assert [dep.replace("arm.py", "train.py") for dep in arm.deps] == list(method.deps)
        assert f"models/{item['backbone']}" in arm.deps
        assert f"models/{name}/arms/{name}" in arm.outs
        assert f"models/{name}" in evaluation.deps
        assert "arms" in evaluation.params


def test_artifacts_are_models_that_the_default_trains():
    for artifact in read_yaml(ROOT / "dvc.yaml")["artifacts"].values():
        top, name, kind, model, seed = Path(artifact["path"]).parts
        assert (top, artifact["type"]) == ("models", "model")
        block = PARAMS[name] if kind == "variants" else PARAMS["distill"][name]
        assert model in block[kind], artifact["path"]
        assert int(seed) in block["seeds"], artifact["path"]
