"""No parameter has a name that DVC's run cache leaves out of its key; one that had is refused with its new name."""

import typing
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from dvc.stage.cache import _get_cache_hash
from support.pipeline import ROOT

from fieldmark.base.blocks import Block, read_yaml
from fieldmark.base.errors import UserError
from fieldmark.clip.schema import ClipParams
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import known_methods, load_distillation, load_method
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.acquire.source import SOURCES, load_source
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.wiring import ArmWiring, JudgeWiring, TransferParams, Wiring
from fieldmark.language.schema import PhrasesParams
from fieldmark.preflight.check import SECTIONS, UNSEEN_BY_DVC, check_params
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.prompting.schema import PromptParams
from fieldmark.runtime.params import RuntimeParams

SCHEMAS: dict[str, type[Block]] = {
    "runtime": RuntimeParams,
    "datasets": DatasetParams,
    "splits": SplitParams,
    "backbones": BackboneParams,
    "clip_models": ClipParams,
    "prompts": PromptParams,
    "phrases": PhrasesParams,
    "methods": Wiring,
    "arms": ArmWiring,
    "judge": JudgeWiring,
    **{f"datasets.{path.stem}": load_source(path.stem).Params for path in sorted(SOURCES.glob("[a-z]*.py"))},
    **{name: load_method(name).Params for name in known_methods()},
    "transfer": TransferParams,
    "distill.pma": load_distillation("pma").PARAMS,
}
FILES = [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]


def seen_by_dvc(key: str) -> bool:
    """Whether DVC's run cache tells two values of a parameter of that name apart, wherever it stands."""
    first, second = ({"params": {"params.yaml": {"a": {key: value}}}} for value in (1, 2))
    return bool(_get_cache_hash(first) != _get_cache_hash(second))


def names_of(schema: type[Block]) -> Iterator[str]:
    """Yield the names of all parameters of a block and of the blocks within it."""
    for name, field in schema.model_fields.items():
        yield from {name, field.alias or name}
        for inner in blocks_in(field.annotation):
            yield from names_of(inner)


def blocks_in(annotation: Any) -> Iterator[type[Block]]:
    """Yield every block in an annotation such as `Inner | None` or `tuple[Inner, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        yield annotation
    for part in typing.get_args(annotation):
        yield from blocks_in(part)


def keys_of(content: Any) -> Iterator[str]:
    """Yield every key at any depth of what a YAML file holds."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield str(key)
            yield from keys_of(value)
    elif isinstance(content, list):
        for value in content:
            yield from keys_of(value)


def changed(path: str, value: Any) -> Configuration:
    """Return the default with a value at a dotted path, whose blocks are made where there are none."""
    params = deepcopy(read_yaml(ROOT / "params.yaml"))
    place = params
    *parents, last = path.split(".")
    for name in parents:
        place[name] = place.get(name) or {}
        place = place[name]
    place[last] = value
    return Configuration(params)


def test_the_names_that_dvc_does_not_see_are_those_that_are_refused():
    assert not any(seen_by_dvc(key) for key in UNSEEN_BY_DVC)
    assert all(seen_by_dvc(key) for key in ("side", "path", "hash", "md5", "outs", "deps", "cmd", "isexec"))


def test_every_section_and_every_distillation_has_a_schema_here():
    assert set(SECTIONS) - {"distill", "note", "expected"} <= SCHEMAS.keys()
    distilled = {path.parent.name for path in (ROOT / "src/fieldmark/methods").glob("*/distillation")}
    assert {f"distill.{name}" for name in distilled} == {name for name in SCHEMAS if "distill" in name}


@pytest.mark.parametrize("section", SCHEMAS)
def test_dvc_sees_every_parameter_of_every_schema(section):
    names = set(names_of(SCHEMAS[section]))
    assert not {name for name in names if not seen_by_dvc(name)}


def test_the_walk_reaches_the_innermost_blocks():
    assert {"side", "steps", "momentum", "lambda"} <= set(names_of(SCHEMAS["irt"]))
    assert {"sigma", "grey", "probe"} <= set(names_of(SCHEMAS["loca"]))  # a block that may be null among them
    assert {"max_aspect"} <= set(names_of(SCHEMAS["datasets"]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dvc_sees_every_key_of_every_file(path):
    """Free options and the user's own names too."""
    assert not {key for key in keys_of(read_yaml(path)) if not seen_by_dvc(key)}


@pytest.mark.parametrize(
    "path",
    [
        "irt.images.size",
        "frpt.source.size",
        "cprfl.images.size",
        "loca.dense.images.size",
        "distill.pma.images.size",
        "datasets.birds.size",
        "backbones.vit.images.size",
        "clip_models.small.images.size",
        "backbones.vit.options.size",  # free options: no schema knows their names
        "clip_models.small.config.vision_cfg.size",
        "loca.options.size",
    ],
)
def test_a_side_by_its_old_name_is_refused_with_the_new_one(path):
    with pytest.raises(UserError) as caught:
        check_params(changed(path, 64))
    assert str(caught.value) == f"parameter {path} is called side now"


def test_names_within_lists_are_refused_too():
    with pytest.raises(
        UserError, match=r"^parameter backbones\.vit\.options\.stages\.nfiles is called another word"
    ):
        check_params(changed("backbones.vit.options.stages", [{"nfiles": 3}]))
