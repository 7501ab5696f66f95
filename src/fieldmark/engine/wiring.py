"""How the blocks of `params.yaml` refer to one another: which split, backbone and text a method works on."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from fieldmark.base.blocks import Block, pick
from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration

NO_TEXT = "none"
TEXTS = ("phrases", "prompts")  # the sections whose stages write under data/text
ALL_PROMPTS = "prompts"  # as a text: every item of the section, for a method that names those it reads
JUDGED = "judged"  # the folder under models/METHOD where stage `judge` puts what it takes from elsewhere
Region = Literal["whole", "box"]


class Wiring(Block):
    """One item of `methods:`: what a method works on. `dataset` must be the data set of `split`.

    `backbone` is a folder under `models/`: `backbones/vit`, or what another method made, such as
    `loca/variants/LOCA/0`, where 0 is its seed. `text` is a folder under `data/text/`, such as `phrases/birds` or
    `prompts/scenes`, or `prompts` for all of these, or `none`. `region` says what is seen of a picture: all of it, or
    the square around its box.
    """

    split: str
    dataset: str
    backbone: str
    text: str
    region: Region = "whole"


class DistillWiring(Wiring):
    """One item of `distill:`: `backbone` is that of the students, `text` is what the teacher reads."""

    teacher: str  # the variant that the students learn from


class ArmWiring(Wiring):
    """One item of `arms:`: a variant of `method` with other values than its block, judged beside its variants.

    `backbone` is what it starts from; split and text are those of its method. `change` has what it changes in the
    method's block, as deep as is needed.
    """

    method: str
    variant: str
    change: dict[str, Any] = Field(default_factory=dict)
    title: str = ""  # what the report says of it; empty: the variant's title and what is changed


class JudgeWiring(Block):
    """One item of `judge:`: the pictures that features of the method of that name are judged on, not its own.

    `dataset` must be the data set of `split`. `backbones` are items of `backbones:`, judged beside the variants.
    """

    split: str
    dataset: str
    region: Region = "whole"
    backbones: tuple[str, ...] = ()

    @field_validator("backbones")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("backbones must be named once each")
        return names

    @property
    def pictures(self) -> Wiring:
        """The wiring of what is judged: pictures alone."""
        return Wiring(split=self.split, dataset=self.dataset, backbone="", text=NO_TEXT, region=self.region)


def read_judge(configuration: Configuration, name: str) -> JudgeWiring:
    """Return one item of `judge:`. Raises UserError when it names what is not there."""
    judge, where = configuration.item("judge", name, JudgeWiring), f"judge.{name}"
    configuration.require("methods", name, where)
    configuration.require_split(judge.split, judge.dataset, where)
    for backbone in judge.backbones:
        configuration.require("backbones", backbone, f"{where}.backbones")
    return judge


class TransferParams(Block):
    """One item of `transfer:`: the variants and arms of `method`, scored on the test pictures of another split."""

    method: str
    dataset: str  # the split's
    split: str


def read_transfer(configuration: Configuration, name: str) -> tuple[TransferParams, Wiring]:
    """Return one item of `transfer:` and the wiring with which its method is scored there.

    Raises UserError when it names what is not there.
    """
    params, where = configuration.item("transfer", name, TransferParams), f"transfer.{name}"
    configuration.require("methods", params.method, f"{where}.method")
    configuration.require_split(params.split, params.dataset, where)
    wiring = read_wiring(configuration, params.method)
    other = {"dataset": params.dataset, "split": params.split, "text": NO_TEXT, "region": "whole"}
    return params, wiring.model_copy(update=other)


def read_wiring(configuration: Configuration, name: str) -> Wiring:
    """Return one item of `methods:`. Raises UserError when it names what is not there."""
    wiring = configuration.item("methods", name, Wiring)
    check_wiring(configuration, wiring, f"methods.{name}")
    return wiring


def check_wiring(configuration: Configuration, wiring: Wiring, where: str) -> None:
    """Raise UserError when a wiring names a split, data set, backbone or text that is not there.

    `where` is the dotted name of the wiring, for messages.
    """
    configuration.require_split(wiring.split, wiring.dataset, where)
    _check_backbone(configuration, wiring.backbone, where)
    _check_text(configuration, wiring.text, where)


def text_item(configuration: Configuration, text: str) -> dict[str, Any]:
    """Return the item of `phrases:` or `prompts:` that the text of a wiring names; empty for `none`.

    For `prompts` it is the whole section, item by item.
    """
    section, _, name = text.partition("/")
    if text == ALL_PROMPTS:
        return {item: dict(configuration.raw_item(section, item)) for item in configuration.section(section)}
    return {} if text == NO_TEXT else dict(configuration.raw_item(section, name))


def _check_backbone(configuration: Configuration, backbone: str, where: str) -> None:
    section, _, item = backbone.partition("/")
    others = [method for method in configuration.section("methods") if f"methods.{method}" != where]
    if section == "backbones":
        pick(dict(configuration.section("backbones")), item, "backbones")
    elif not any(re.fullmatch(rf"{method}/variants/[^/]+/\d+", backbone) for method in others):
        raise UserError(
            f"{where}.backbone is '{backbone}'; write backbones/NAME for an item of backbones, "
            "or METHOD/variants/VARIANT/SEED for what another method of this file makes"
        )


def _check_text(configuration: Configuration, text: str, where: str) -> None:
    section, _, item = text.partition("/")
    if text == ALL_PROMPTS and configuration.section(section):
        return
    if section in TEXTS and configuration.section(section):
        pick(dict(configuration.section(section)), item, section)
    elif text != NO_TEXT:
        raise UserError(
            f"{where}.text is '{text}'; write phrases/NAME or prompts/NAME for an item of that section, "
            f"or {NO_TEXT}"
        )
