"""What params.yaml says as a whole: the wiring of methods, and a check of everything before anything runs."""

from typing import Any

from fieldmark.base.blocks import Block, nearest, parse, pick
from fieldmark.base.errors import UserError
from fieldmark.clip.schema import ClipParams, PromptParams
from fieldmark.contract.distillation import load_distillation
from fieldmark.contract.method import MethodParams
from fieldmark.contract.variants import known_methods, load_method
from fieldmark.datasets.acquire.schema import named_items, read_datasets
from fieldmark.datasets.splitting.splits import SplitParams, read_splits
from fieldmark.engine.params import BackboneParams, RuntimeParams

SECTIONS = ("runtime", "datasets", "splits", "backbones", "clips", "prompts", "phrases", "methods", "distill")
NO_TEXT = "none"
TEXTS = ("phrases", "prompts")  # the sections whose stages write under data/text


class Wiring(Block):
    """One item of `methods:`: what a method works on. `dataset` is the split's.

    `backbone` is a folder under `models/`: `backbones/vit`, or what another method made, as `loca/variants/LOCA`.
    `text` is one under `data/text/`: `phrases/birds`, `prompts/scenes`, or `none`.
    """

    split: str
    dataset: str
    backbone: str
    text: str


def read_runtime(params: dict[str, Any]) -> RuntimeParams:
    """Return the `runtime:` block."""
    return parse(RuntimeParams, params.get("runtime", {}), "runtime")


def read_backbone(params: dict[str, Any], name: str) -> BackboneParams:
    """Return one item of `backbones:`."""
    own = parse(
        BackboneParams, pick(named_items(params, "backbones"), name, "backbones"), f"backbones.{name}"
    )
    _same_dataset(params, own.split, own.dataset, f"backbones.{name}")
    return own


def read_clip(params: dict[str, Any], name: str) -> ClipParams:
    """Return one item of `clips:`."""
    own = parse(ClipParams, pick(optional_items(params, "clips"), name, "clips"), f"clips.{name}")
    _same_dataset(params, own.split, own.dataset, f"clips.{name}")
    return own


def read_prompt(params: dict[str, Any], name: str) -> PromptParams:
    """Return one item of `prompts:`. Raises UserError when it names a data set or CLIP that is not there."""
    own = parse(PromptParams, pick(optional_items(params, "prompts"), name, "prompts"), f"prompts.{name}")
    pick(named_items(params, "datasets"), own.dataset, "datasets")
    pick(optional_items(params, "clips"), own.clip, "clips")
    return own


def optional_items(params: dict[str, Any], block: str) -> dict[str, Any]:
    """Return the mapping at `block`, empty when there is no such block."""
    return named_items(params, block) if block in params else {}


def read_wiring(params: dict[str, Any], name: str) -> Wiring:
    """Return one item of `methods:`. Raises UserError when it names what is not there."""
    wiring = parse(Wiring, pick(named_items(params, "methods"), name, "methods"), f"methods.{name}")
    _same_dataset(params, wiring.split, wiring.dataset, f"methods.{name}")
    _require_backbone(params, wiring.backbone, f"methods.{name}")
    _require_text(params, wiring.text, f"methods.{name}")
    return wiring


def wired_backbone(params: dict[str, Any], name: str) -> BackboneParams:
    """Return the backbone that a method starts from. Raises UserError when another method makes it."""
    section, _, item = read_wiring(params, name).backbone.partition("/")
    if section != "backbones":
        raise UserError(f"methods.{name}.backbone is made by {section}; name an item of backbones")
    return read_backbone(params, item)


def read_method(params: dict[str, Any], name: str) -> MethodParams:
    """Return a method's own block."""
    method = load_method(name)
    return parse(method.Params, pick(params, name, "params.yaml"), name)


def read_distillation(params: dict[str, Any], name: str) -> Any:
    """Return one item of `distill:`. Raises UserError when it does not fit the method of that name."""
    item = pick(optional_items(params, "distill"), name, "distill")
    own = parse(load_distillation(name).PARAMS, item, f"distill.{name}")
    wiring = read_wiring(params, name)
    if (own.dataset, own.split) != (wiring.dataset, wiring.split):
        raise UserError(
            f"distill.{name} is of split '{own.split}' of '{own.dataset}', but its teacher of '{wiring.split}' "
            f"of '{wiring.dataset}': give both the same"
        )
    if own.text != wiring.text:
        raise UserError(
            f"distill.{name}.text is '{own.text}', but its teacher learns to read '{wiring.text}': "
            "give both the same"
        )
    trained = list(load_method(name).variants(read_method(params, name)))
    if own.teacher not in trained:
        raise UserError(
            f"distill.{name}.teacher is '{own.teacher}', which {name}.variants does not train: {', '.join(trained)}"
        )
    _require_backbone(params, own.backbone, f"distill.{name}")
    return own


def check_params(params: dict[str, Any]) -> None:
    """Read every block of params.yaml. Raises UserError for the first thing that is wrong."""
    known = [*SECTIONS, *known_methods()]
    for key in params:
        if key not in known:
            raise UserError(f"unknown block {key}{nearest(key, known)}")
    read_runtime(params)
    read_datasets(params)
    read_splits(params)
    for name in named_items(params, "backbones"):
        read_backbone(params, name)
    for name in optional_items(params, "clips"):
        read_clip(params, name)
    for name in optional_items(params, "prompts"):
        read_prompt(params, name)
    for name in named_items(params, "methods"):
        text = read_wiring(params, name).text
        problem = read_method(params, name).unmet(text, _text_item(params, text))
        if problem:
            raise UserError(problem)
    for name in optional_items(params, "distill"):
        read_distillation(params, name)


def _require_backbone(params: dict[str, Any], backbone: str, where: str) -> None:
    section, _, item = backbone.partition("/")
    others = {f"{one}/variants" for one in named_items(params, "methods") if f"methods.{one}" != where}
    if section == "backbones":
        pick(named_items(params, "backbones"), item, "backbones")
    elif backbone.rpartition("/")[0] not in others:
        raise UserError(
            f"{where}.backbone is '{backbone}'; write backbones/NAME for an item of backbones, "
            "or METHOD/variants/VARIANT for what another method of this file makes"
        )


def _require_text(params: dict[str, Any], text: str, where: str) -> None:
    section, _, item = text.partition("/")
    if section in TEXTS and section in params:
        pick(named_items(params, section), item, section)
    elif text != NO_TEXT:
        raise UserError(
            f"{where}.text is '{text}'; write phrases/NAME or prompts/NAME for an item of that section, "
            f"or {NO_TEXT}"
        )


def _text_item(params: dict[str, Any], text: str) -> dict[str, Any]:
    section, _, item = text.partition("/")
    return {} if text == NO_TEXT else named_items(params, section)[item]


def _same_dataset(params: dict[str, Any], split: str, dataset: str, where: str) -> None:
    splits: dict[str, SplitParams] = read_splits(params)
    if split not in splits:
        raise UserError(f"{where}.split: there is no split '{split}'{nearest(split, list(splits))}")
    if splits[split].dataset != dataset:
        raise UserError(
            f"{where}.dataset is '{dataset}', but split '{split}' is of data set '{splits[split].dataset}'"
        )
