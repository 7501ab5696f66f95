"""Finding methods, their evaluations and their distillations by name."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError
from fieldmark.contract.method import Method

METHODS = Path(__file__).resolve().parents[1] / "methods"


def known_methods() -> list[str]:
    """Return the names of the folders under `fieldmark/methods`."""
    return sorted(path.parent.name for path in METHODS.glob("*/__init__.py"))


def load_method(name: str) -> type[Method[Any, Any]]:
    """Return the class METHOD of `fieldmark.methods.<name>.model.method`. Raises UserError when unknown."""
    known = known_methods()
    if name not in known:
        raise UserError(f"there is no method '{name}'; there are: {', '.join(known)}")
    method: type[Method[Any, Any]] = importlib.import_module(f"fieldmark.methods.{name}.model.method").METHOD
    return method


def load_evaluation(name: str) -> Callable[..., Any]:
    """Return the `evaluate` function of `fieldmark.methods.<name>.evaluation`; see `Method`."""
    load_method(name)
    function: Callable[..., Any] = importlib.import_module(f"fieldmark.methods.{name}.evaluation").evaluate
    return function


def load_distillation(name: str) -> Any:
    """Return the module `fieldmark.methods.<name>.distillation`: PARAMS and `distil`. Raises UserError without one."""
    load_method(name)
    try:
        return importlib.import_module(f"fieldmark.methods.{name}.distillation")
    except ModuleNotFoundError:
        raise UserError(
            f"distill.{name}: method '{name}' has no distillation; take it out of distill"
        ) from None
