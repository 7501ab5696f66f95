"""Results files: read and checked key by key."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fieldmark.base.errors import UserError

M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], path: Path) -> M:
    """Read a file of that model. Raises UserError naming the file and the key that is wrong."""
    return validated(model, read_json(path), str(path))


def validated(model: type[M], value: Any, where: str, prefix: str = "") -> M:
    """Return `value`, found in the file `where`, as that model. Raises UserError naming file and key."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = prefix + ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {key or 'the whole file'}: {first['msg']}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UserError for one that is malformed."""
    return parse_json(path.read_bytes(), str(path))


def parse_json(content: bytes, where: str) -> Any:
    """Return what the JSON of the file `where` holds. Raises UserError when it is malformed."""
    try:
        return json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON: {error}; run the stage that writes it again") from None
