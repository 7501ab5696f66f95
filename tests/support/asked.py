"""The parameters that presets and settings ask for, as plain values: quick, where `composed` also keeps comments."""

import copy
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fieldmark.base.blocks import parse_yaml, read_yaml
from fieldmark.preflight.presets import DERIVED
from support.pipeline import ROOT

DEFAULT = read_yaml(ROOT / "params.yaml")


def asked_for(ask: str, given: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """Return params.yaml with presets and settings laid over it; `given` has settings that a preset wants."""
    params = copy.deepcopy(DEFAULT)
    for word in shlex.split(ask):
        if "=" in word:
            _put(params, word)
            continue
        params.update(read_yaml(ROOT / f"presets/{word}.yaml"))
        for section in DERIVED:
            items = params[section].items()
            params[section] = {name: item for name, item in items if item["dataset"] in params["datasets"]}
        for setting in (given or {}).get(word, ()):
            _put(params, setting)
    return params


def _put(params: dict[str, Any], setting: str) -> None:
    path, _, value = setting.partition("=")
    *parents, last = path.split(".")
    block = params
    for name in parents:
        if block.get(name) is None:
            block[name] = {}
        block = block[name]
    block[last] = parse_yaml(f"value: {value}", setting)["value"]
