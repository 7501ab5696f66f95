"""Presets: the parameters of a paper, or of the user's data, laid over `params.yaml`; its comments stay."""

import copy
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from fieldmark.base.blocks import nearest, read_yaml
from fieldmark.base.errors import UserError
from fieldmark.reporting.published import EXPECTED

NOTE = (
    "note"  # what the page says on top; like what a paper reports, that of a preset laid before does not stay
)
# Sections whose keys are names that the user chooses.
NAMED = ("datasets", "splits", "backbones", "methods")
# Such sections as well, which are made from the data sets: a preset without these data sets empties them.
DERIVED = ("clip_models", "prompts", "phrases", "distill", "arms", "judge", "transfer")
BY_METHOD = ("distill", "judge")  # items of such sections belong to the method of their name
# Belongs to the methods: a preset with methods of its own brings its own, or has none.
ARMS = "arms"
STUDENT_SEEDS = 1000  # the seeds of students begin so much later than those of their teachers
WANTED = "???"  # stands for a value that only the user can give
LINE_WIDTH = 4096  # so long that no line is folded


def list_presets(folder: Path) -> dict[str, str]:
    """Return the presets in `folder`, each with what its first comment line says."""
    lines = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in folder.glob("*.yaml")}
    return {name: line.lstrip("# ") if line.startswith("#") else "" for name, line in sorted(lines.items())}


def composed(path: Path, arguments: Sequence[str], folder: Path) -> str:
    """Return the parameters in the file `path` with `arguments` laid over them: presets of `folder`, then settings.

    Settings are the arguments with a "=". Raises UserError for what is unknown, malformed, or not given.
    """
    names = [argument for argument in arguments if "=" not in argument]
    read_yaml(path)  # raises UserError for a file that is no YAML
    text = with_presets(path.read_text(encoding="utf-8"), names, folder)
    text = with_settings(text, [argument for argument in arguments if "=" in argument])
    require_given(text, names)
    return text


def with_presets(text: str, names: Sequence[str], folder: Path) -> str:
    """Return the parameters `text` with the presets `names` laid over them.

    The presets are merged first: a later one adds to the earlier ones, and its value counts where both have one. Each
    block of the result then replaces the whole block of `text`, so that nothing is left of a preset that was applied
    before. Where its data sets lack one from which other sections are made, those are emptied; so are the arms where it
    has methods. Raises UserError for an unknown preset.
    """
    preset = CommentedMap()
    for name in names:
        added = _read(name, folder)
        for key in added:
            _merge(preset, key, added[key])
    params = _load(text)
    if names:
        params.pop(NOTE, None)
        params.pop(EXPECTED, None)
    if "methods" in preset and ARMS in params:
        params[ARMS] = CommentedMap()
    if "datasets" in preset and not _are_made_from(params, preset["datasets"]):
        params.update({key: CommentedMap() for key in DERIVED if key in params})
    params.update(preset)
    if "methods" in preset:
        _drop_other_methods(params)
    return _dump(params)


def _drop_other_methods(params: CommentedMap) -> None:
    """Take out what belongs to methods that are not there any more."""
    for items in (params.get(section) or {} for section in BY_METHOD):
        for name in [name for name in items if name not in (params["methods"] or {})]:
            del items[name]


def _are_made_from(params: CommentedMap, datasets: Mapping[str, Any]) -> bool:
    """Say whether every item of the derived sections is made from one of `datasets`."""
    items = [item for section in DERIVED for item in (params.get(section) or {}).values()]
    return all(isinstance(item, Mapping) and item.get("dataset") in datasets for item in items)


def _read(name: str, folder: Path) -> CommentedMap:
    known = list_presets(folder)
    if name not in known:
        raise UserError(
            f"there is no preset '{name}'{nearest(name, [*known])} (`make presets` says what each is)"
        )
    path = folder / f"{name}.yaml"
    read_yaml(path)  # raises UserError for a file that is no YAML or no mapping
    return _load(path.read_text(encoding="utf-8"))


def with_settings(text: str, settings: Sequence[str]) -> str:
    """Return the parameters `text` with each `key.path=value` applied; a value is YAML (`1e-4`, `[1, 2]`, `null`).

    Raises UserError, naming the nearest name, for a path that leads nowhere. The last name of a path need not be in
    `text`: whether there is such a parameter is checked later by the schema.
    """
    params = _load(text)
    for setting in settings:
        path, sign, value = setting.partition("=")
        if not (sign and path and value.strip()):
            raise UserError(f"'{setting}' is no setting; write irt.lambda=0.3, or irt.dim=null for none")
        *parents, last = path.split(".")
        block: Any = params
        for depth, parent in enumerate(parents):
            block = _child(block, parent, parents[:depth])
        _require_allowed(block, last, parents)
        block[last] = _value(setting, value)
    return _dump(params)


def with_seeds(text: str, seeds: Sequence[int]) -> str:
    """Return the parameters `text` with `seeds` for every method.

    Students get seeds of their own: from their teacher's, the twin would be a copy of the plain variant.
    """
    params = _load(text)
    for name in params.get("methods") or {}:
        params[name]["seeds"] = list(seeds)
    for student in (params.get("distill") or {}).values():
        student["seeds"] = [seed + STUDENT_SEEDS for seed in seeds]
    return _dump(params)


def require_given(text: str, names: Sequence[str]) -> None:
    """Raise UserError when the user has not given a value that one of the presets `names` asks for."""
    wanted = list(_wanted(_load(text)))
    if wanted:
        given = " ".join(f"{path}=..." for path in wanted)
        it = "it" if len(wanted) == 1 else "them"
        which = " and ".join(names)
        raise UserError(f"preset {which} needs {' and '.join(wanted)}; give {it} with SET='{given}'")


def _merge(into: CommentedMap, key: str, value: Any) -> None:
    """Set `into[key]`; where both sides are mappings, only the keys that `value` has."""
    if isinstance(value, Mapping) and isinstance(into.get(key), Mapping):
        for inner in value:
            _merge(into[key], inner, value[inner])
    else:
        into[key] = copy.deepcopy(value)


def _child(block: Any, name: str, above: list[str]) -> Any:
    """Return `block[name]`; an empty block is put there where it is null, or absent but allowed."""
    _require_allowed(block, name, above)
    if block.get(name) is None:
        block[name] = CommentedMap()
    return block[name]


def _require_allowed(block: Any, name: str, above: list[str]) -> None:
    """Raise UserError unless `block` may have `name`: top-level blocks and names that the user chose must exist."""
    path = ".".join([*above, name])
    if not isinstance(block, Mapping):
        raise UserError(f"unknown parameter {path}: {'.'.join(above)} is a value, not a block")
    if name not in block and (not above or above in [[section] for section in (*NAMED, *DERIVED)]):
        raise UserError(f"unknown parameter {path}{nearest(name, list(block))}")


def _value(setting: str, text: str) -> Any:
    try:
        return _yaml().load(text)
    except YAMLError:
        raise UserError(f"the value of '{setting}' is not valid YAML; quote it") from None


def _wanted(block: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _wanted(value, f"{above}{key}.")
        elif value == WANTED:
            yield f"{above}{key}"


def _load(text: str) -> CommentedMap:
    params: CommentedMap = _yaml().load(text)
    return params


def _dump(params: CommentedMap) -> str:
    stream = io.StringIO()
    _yaml().dump(params, stream)
    # A replaced section takes the empty line that followed it along: put one before every top-level block.
    return re.sub(r"(\n[^#\n][^\n]*)\n(?=\w)", r"\1\n\n", stream.getvalue())


def _yaml() -> YAML:
    yaml = YAML()  # round trip
    yaml.width = LINE_WIDTH
    yaml.preserve_quotes = True
    yaml.representer.add_representer(
        type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml
