"""A check of all of params.yaml, so that a mistake is reported before anything is computed."""

from collections.abc import Iterator
from typing import Any

from fieldmark.base.blocks import nearest, now_called
from fieldmark.base.errors import UserError
from fieldmark.clip.schema import ClipParams
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import MethodParams
from fieldmark.contract.registry import known_methods, load_distillation, load_method
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.wiring import (
    DistillWiring,
    Wiring,
    check_wiring,
    read_transfer,
    read_wiring,
    text_item,
)
from fieldmark.language.schema import GRAMMAR, NO_CLIP, PhrasesParams
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.prompting.schema import PromptParams
from fieldmark.runtime.params import RuntimeParams

SECTIONS = (
    "note",
    "runtime",
    "datasets",
    "splits",
    "backbones",
    "clip_models",
    "prompts",
    "phrases",
    "methods",
    "distill",
    "transfer",
)
# DVC ignores keys with these names, wherever they stand, when it looks a run up in its run cache
# (treeverse/dvc#10296): it would take a run with another value from there. What to call them instead:
UNSEEN_BY_DVC = {"size": "side", "nfiles": "another word"}


def check_params(configuration: Configuration) -> None:
    """Read every block of params.yaml. Raises UserError for the first thing that is wrong."""
    _check_sections(configuration)
    configuration.note()
    configuration.block("runtime", RuntimeParams)
    _check_data(configuration)
    _check_models(configuration)
    _check_texts(configuration)
    for name in configuration.section("methods"):
        _check_method(configuration, name)
    for name in configuration.section("distill"):
        _check_distillation(configuration, name)
    for name in configuration.section("transfer"):
        _check_transfer(configuration, name)
    _check_names(configuration.content)


def _check_sections(configuration: Configuration) -> None:
    known = [*SECTIONS, *known_methods()]
    for key in configuration.content:
        if key not in known:
            raise UserError(f"unknown block {key}{nearest(key, known)}")
    for required in ("datasets", "splits", "backbones", "methods"):
        if required not in configuration.content:
            raise UserError(
                f"params.yaml has no '{required}'{nearest(required, list(configuration.content))}"
            )


def _check_data(configuration: Configuration) -> None:
    for name in configuration.section("datasets"):
        configuration.item("datasets", name, DatasetParams)
    for name in configuration.section("splits"):
        split = configuration.item("splits", name, SplitParams)
        configuration.require("datasets", split.dataset, f"splits.{name}.dataset")


def _check_models(configuration: Configuration) -> None:
    for name in configuration.section("backbones"):
        backbone = configuration.item("backbones", name, BackboneParams)
        configuration.require_split(backbone.split, backbone.dataset, f"backbones.{name}")
    for name in configuration.section("clip_models"):
        clip = configuration.item("clip_models", name, ClipParams)
        configuration.require_split(clip.split, clip.dataset, f"clip_models.{name}")
        if name == NO_CLIP:
            raise UserError(f"clip_models.{NO_CLIP}: give it another name; '{NO_CLIP}' stands for no CLIP")


def _check_texts(configuration: Configuration) -> None:
    for name in configuration.section("prompts"):
        prompts = configuration.item("prompts", name, PromptParams)
        configuration.require("datasets", prompts.dataset, f"prompts.{name}.dataset")
        if prompts.vectors and prompts.clip != NO_CLIP:
            raise UserError(f"prompts.{name} has vectors of a file and a clip as well; set clip: {NO_CLIP}")
        if not prompts.vectors:
            configuration.require("clip_models", prompts.clip, f"prompts.{name}.clip")
    for name in configuration.section("phrases"):
        phrases = configuration.item("phrases", name, PhrasesParams)
        configuration.require_split(phrases.split, phrases.dataset, f"phrases.{name}")
        if phrases.clip != NO_CLIP:
            configuration.require("clip_models", phrases.clip, f"phrases.{name}.clip")
        _check_grammar(phrases.grammar)


def _check_grammar(grammar: str) -> None:
    if grammar != GRAMMAR:  # NLTK takes seconds to import
        from fieldmark.language.chunking import Chunker

        Chunker(grammar)


def _check_method(configuration: Configuration, name: str) -> None:
    wiring = read_wiring(configuration, name)
    _check_region(configuration, wiring, f"methods.{name}")
    params = read_method(configuration, name)
    problem = params.unmet(wiring.text, text_item(configuration, wiring.text))
    if problem:
        raise UserError(problem)
    trained = [variant.name for variant in load_method(name).variants(params) if variant.trained]
    if _kind(configuration, wiring.split) == "landmarks" and trained:
        raise UserError(
            f"methods.{name}.split is '{wiring.split}', a benchmark with nothing to train on: leave {trained[0]} out "
            f"of {name}.variants, or train on another split and name this one in transfer"
        )


def _check_region(configuration: Configuration, wiring: Wiring, where: str) -> None:
    """Raise UserError for pictures that are to be cut to boxes and come without."""
    source = configuration.item("datasets", wiring.dataset, DatasetParams).open_source()
    if wiring.region == "box" and not source.promises["boxes"]:
        raise UserError(
            f"{where}.region is 'box', but the pictures of '{wiring.dataset}' come without boxes; write whole"
        )


def read_method(configuration: Configuration, name: str) -> MethodParams:
    """Return the block of a method."""
    return configuration.method_block(name, load_method(name).Params)


def _check_distillation(configuration: Configuration, name: str) -> None:
    """Raise UserError when an item of `distill:` does not fit the method of that name."""
    params = configuration.item("distill", name, load_distillation(name).PARAMS)
    check_wiring(configuration, params, f"distill.{name}")
    _check_same_work(params, read_wiring(configuration, name), name)
    block = read_method(configuration, name)
    trained = [variant.name for variant in load_method(name).variants(block)]
    if params.teacher not in trained:
        raise UserError(
            f"distill.{name}.teacher is '{params.teacher}', which {name}.variants does not train: {', '.join(trained)}"
        )
    if len(params.seeds) != len(block.seeds):
        raise UserError(
            f"distill.{name}.seeds has {len(params.seeds)} and {name}.seeds {len(block.seeds)}: give as many, for a "
            "student learns from the teacher whose seed has the same place in its list"
        )


def _check_same_work(params: DistillWiring, teacher: Any, name: str) -> None:
    if (params.dataset, params.split) != (teacher.dataset, teacher.split):
        raise UserError(
            f"distill.{name} is of split '{params.split}' of '{params.dataset}', but its teacher of '{teacher.split}' "
            f"of '{teacher.dataset}': give both the same"
        )
    if params.region != teacher.region:
        raise UserError(
            f"distill.{name}.region is '{params.region}', but its teacher sees '{teacher.region}': give both the same"
        )
    if params.text != teacher.text:
        raise UserError(
            f"distill.{name}.text is '{params.text}', but its teacher learns to read '{teacher.text}': "
            "give both the same"
        )


def _check_transfer(configuration: Configuration, name: str) -> None:
    """Raise UserError when an item of `transfer:` does not fit its method."""
    params, _ = read_transfer(configuration, name)
    kind, known = _kind(configuration, params.split), load_method(params.method).judged_on
    if kind not in known:
        raise UserError(
            f"transfer.{name}: method '{params.method}' cannot be judged on a split of kind '{kind}' elsewhere"
            + (f"; it can on {' and '.join(known)}" if known else "")
        )


def _kind(configuration: Configuration, split: str) -> str:
    return configuration.item("splits", split, SplitParams).kind


def _check_names(content: Any) -> None:
    """Raise UserError for a key, in free options too, whose changed value DVC would not notice."""
    for dotted, key in _keys(content):
        if key in UNSEEN_BY_DVC:
            raise UserError(now_called(dotted, UNSEEN_BY_DVC[key]))


def _keys(content: Any, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, key) of every key at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield f"{above}{key}", str(key)
            yield from _keys(value, f"{above}{key}.")
    elif isinstance(content, list):
        for value in content:
            yield from _keys(value, above)
