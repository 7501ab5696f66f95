"""The `cprfl:` block of `params.yaml`."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from fieldmark.base.blocks import Block
from fieldmark.contract.method import FrozenParams, each_once
from fieldmark.engine.wiring import ALL_PROMPTS
from fieldmark.methods.cprfl.model.names import parse_name

ALL = ("BCE", "focal", "DB", "ASL", "random", "one-hot", "linear-PI", "VSI-path", "direct-path", "CPRFL")


class AsymmetricParams(Block):
    """The asymmetric loss."""

    gamma_pos: float = Field(0.0, ge=0.0)
    gamma_neg: float = Field(4.0, ge=0.0)
    clip: float = Field(0.05, ge=0.0, lt=1.0)  # the paper gives no value; this is its code's


class BalanceParams(Block):
    """The distribution-balanced focal loss; its paper's values for COCO."""

    alpha: float = Field(0.1, ge=0.0)
    beta: float = Field(10.0, gt=0.0)
    gamma: float = 0.2
    neg_scale: float = Field(2.0, gt=0.0)
    init_bias: float = Field(0.05, ge=0.0)


class ClassBalancedParams(Block):
    """The class-balanced focal loss. With the last two as they are it is Cui et al.'s; CPRFL's code sets them."""

    decay: float = Field(0.9, ge=0.0, lt=1.0)  # beta of the paper; 0 weighs all classes alike
    neg_scale: float = Field(1.0, gt=0.0)  # as in BalanceParams
    init_bias: float = Field(0.0, ge=0.0)


class MarginParams(Block):
    """LDAM, for several labels."""

    margin: float = Field(0.5, ge=0.0)  # of the rarest class, in logits
    scale: float = Field(1.0, gt=0.0)  # of the logits


class CprflParams(FrozenParams):
    """CPRFL (arXiv 2408.08125). Defaults are the paper's, or the released code's where it is silent."""

    variants: tuple[str, ...] = ALL  # a loss, a head, or a head with its loss: CPRFL-DB
    # Items of `prompts:`, where the method's text is all of them: all variants read the first one, and CPRFL is trained
    # with each of the others, too.
    prompts: tuple[str, ...] = ()
    # Root mean square length of the category vectors; None: that of CLIP's embeddings.
    length: float | None = Field(None, gt=0.0)
    dim: int = Field(2048, ge=1)  # d, the width in which tokens and prompts meet
    tau: float = Field(0.5, gt=0.0)  # hidden width of the prompt network as a multiple of dim
    heads: int = Field(8, ge=1)
    head_dim: int = Field(512, ge=1)
    mlp_dim: int = Field(2048, ge=1)
    depth: int = Field(1, ge=1)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    asymmetric: AsymmetricParams = AsymmetricParams()
    focal_gamma: float = Field(2.0, ge=0.0)
    balance: BalanceParams = BalanceParams()
    class_balanced: ClassBalancedParams = ClassBalancedParams()
    ldam: MarginParams = MarginParams()
    backbone_lr: float = Field(0.1, ge=0.0)  # multiple of train.lr for the backbone; 0: frozen, in eval mode
    linear_lr: float = Field(1.0, gt=0.0)  # multiple of train.lr for a linear classifier, which needs more
    snapshots: int = Field(0, ge=0)  # copies of CPRFL kept during training, to see its prompts refined

    @field_validator("variants")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            parse_name(name)
        return names

    @field_validator("prompts")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names:
            each_once(names, "prompts")
        return names

    def unmet(self, text: str, item: Mapping[str, Any]) -> str | None:
        """Every variant needs prompts: the names of the categories come from them."""
        if text == ALL_PROMPTS:
            return self._unmet_items(item)
        if not text.startswith("prompts/"):
            return f"cprfl reads category prompts, and methods.cprfl.text is '{text}'; name some such as prompts/scenes"
        if self.prompts:
            return (
                f"cprfl.prompts names several, and methods.cprfl.text is '{text}' alone; set text to prompts"
            )
        return None

    def _unmet_items(self, items: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the names of prompts: they must be there, and of one data set."""
        if not self.prompts:
            return "methods.cprfl.text is prompts, all of them; say in cprfl.prompts which to read, the main ones first"
        for name in self.prompts:
            if name not in items:
                return f"cprfl.prompts names '{name}', which is not among prompts: {', '.join(items)}"
        datasets = sorted({items[name].get("dataset", "") for name in self.prompts})
        if len(datasets) > 1:
            return f"cprfl.prompts are of several data sets: {' and '.join(datasets)}; give those of one"
        return None
