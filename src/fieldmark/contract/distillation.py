"""Distilling a trained method into students: the wiring in `distill:`, and finding them by name."""

import importlib
from pathlib import Path
from typing import Any

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import DESCRIPTION, load_method, load_model


class DistillWiring(Block):
    """What an item of `distill:` works on, as `methods:` has it; an item is named by its method."""

    dataset: str
    split: str
    backbone: str  # the students start from it
    text: str  # what the teacher reads
    teacher: str  # the variant that the students learn from


def load_distillation(name: str) -> Any:
    """Return the module `fieldmark.methods.<name>.distillation`: PARAMS and `distil`. Raises UserError without one."""
    load_method(name)
    try:
        return importlib.import_module(f"fieldmark.methods.{name}.distillation")
    except ModuleNotFoundError:
        raise UserError(
            f"distill.{name}: method '{name}' has no distillation; take it out of distill"
        ) from None


def load_students(folder: Path) -> dict[str, Any]:
    """Read every student below `folder` by name; none where there is no such folder."""
    return {path.parent.name: load_model(path.parent) for path in sorted(folder.glob(f"*/{DESCRIPTION}"))}
