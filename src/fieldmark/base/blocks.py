"""Typed parameter blocks: parts of `params.yaml` become frozen models; what is wrong is told in one line."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fieldmark.base.errors import UserError


class Block(BaseModel):
    """A block of `params.yaml`. Unknown keys are refused; instances cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    # Former names of parameters, with their names now; those of inner blocks are dotted.
    renamed: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def read(cls, mapping: Any, where: str) -> Self:
        """Return the block that `mapping`, found at `where`, describes. Raises UserError, one line."""
        return parse(cls, mapping, where)


B = TypeVar("B", bound=Block)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping (`1e-4` is a float). Raises UserError when absent or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run from the repository root") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Return the YAML 1.2 mapping that the file `where` holds. Raises UserError when it is malformed."""
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{where} must hold a mapping of blocks, it holds {type(value).__name__}")
    return value


def parse(block_class: type[B], mapping: Any, where: str) -> B:
    """Turn the mapping found at `where` (a dotted name) into its block. Raises UserError, one line."""
    try:
        return block_class.model_validate(mapping, strict=None)
    except ValidationError as error:
        # An unknown name first: the parameter that it was meant to be is reported as missing before it.
        errors = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        raise UserError(_explain(block_class, errors[0], where)) from None


def pick(mapping: dict[str, Any], key: str, where: str) -> Any:
    """Return `mapping[key]`; an absent key is refused with the nearest one that exists."""
    if key not in mapping:
        raise UserError(f"{where} has no '{key}'{nearest(key, list(mapping))}")
    return mapping[key]


def nearest(word: str, known: list[str]) -> str:
    """Return a clause that names the nearest known word, or lists all known words when none is near."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; it knows: {', '.join(sorted(known))}"


def now_called(dotted: str, name: str) -> str:
    """Say that a parameter at `dotted` has another name now."""
    return f"parameter {dotted} is called {name} now"


def _explain(block_class: type[Block], error: Any, where: str) -> str:
    location = [str(part) for part in error["loc"]]
    dotted = ".".join([where, *location])
    if error["type"] == "extra_forbidden":
        if renamed := _name_now(block_class, location, where):
            return now_called(dotted, renamed)
        owner = _block_at(block_class, location[:-1])
        known = [field.alias or name for name, field in owner.model_fields.items()] if owner else []
        return f"unknown parameter {dotted}{nearest(location[-1], known) if known else ''}"
    if error["type"] == "missing":
        return f"parameter {dotted} is missing"
    wrong, value = error["msg"].removeprefix("Value error, "), error["input"]
    # When a whole block is wrong, the first characters of its mapping would say nothing.
    shown = "" if isinstance(value, dict) else f" (it is {value!r:.80})"
    return f"parameter {dotted}: {wrong[0].lower()}{wrong[1:]}{shown}"


def _name_now(block_class: type[Block], location: list[str], where: str) -> str | None:
    """Return what the parameter at `location` is called now, dotted where it has moved; None for an unknown one."""
    for depth in range(len(location)):
        owner, former = _block_at(block_class, location[:depth]), location[depth:]
        name = owner.renamed.get(".".join(former)) if owner else None
        if name:
            return name if len(former) == 1 else ".".join([where, *location[:depth], name])
    return None


def _block_at(block_class: type[Block], path: list[str]) -> type[Block] | None:
    """Follow nested blocks down `path`; None where the path leaves the blocks."""
    names = iter(path)
    for name in names:
        fields = {field.alias or key: field for key, field in block_class.model_fields.items()}
        inner = _block_in(fields[name].annotation) if name in fields else None
        if inner is None:
            return None
        if get_origin(fields[name].annotation) is dict:
            next(names, None)  # what the user calls one of the blocks
        block_class = inner
    return block_class


def _block_in(annotation: Any) -> type[Block] | None:
    """Return the block of an annotation such as `Inner` or `Inner | None`; None where there is none."""
    for kind in get_args(annotation) or (annotation,):
        if isinstance(kind, type) and issubclass(kind, Block):
            return kind
    return None
