"""The `cprfl:` block of `params.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from fieldmark.base.blocks import Block
from fieldmark.contract.method import MethodParams

Variant = Literal[
    "BCE", "focal", "DB", "ASL", "random", "one-hot", "linear-PI", "VSI-path", "direct-path", "CPRFL"
]
Loss = Literal["BCE", "focal", "DB", "ASL"]
Vectors = Literal["clip", "random", "one-hot"]


@dataclass(frozen=True)
class Parts:
    """What a variant is made of; without `vectors` it is a linear classifier.

    `no_feature_grad` cuts the gradient's path through the interaction, `no_cls_grad` the one to the prompts as
    classifiers.
    """

    loss: Loss = "ASL"
    vectors: Vectors | None = None
    nonlinear: bool = True
    no_feature_grad: bool = False
    no_cls_grad: bool = False


PARTS: dict[Variant, Parts] = {
    "BCE": Parts("BCE"),
    "focal": Parts("focal"),
    "DB": Parts("DB"),
    "ASL": Parts("ASL"),
    "random": Parts(vectors="random"),
    "one-hot": Parts(vectors="one-hot"),
    "linear-PI": Parts(vectors="clip", nonlinear=False),
    "VSI-path": Parts(vectors="clip", no_cls_grad=True),
    "direct-path": Parts(vectors="clip", no_feature_grad=True),
    "CPRFL": Parts(vectors="clip"),
}


class AsymmetricParams(Block):
    """The asymmetric loss."""

    gamma_pos: float = Field(0.0, ge=0.0)
    gamma_neg: float = Field(4.0, ge=0.0)
    clip: float = Field(0.05, ge=0.0, lt=1.0)  # the paper gives none; its code's


class BalanceParams(Block):
    """The distribution-balanced focal loss; its paper's values for COCO."""

    alpha: float = Field(0.1, ge=0.0)
    beta: float = Field(10.0, gt=0.0)
    gamma: float = 0.2
    neg_scale: float = Field(2.0, gt=0.0)
    init_bias: float = Field(0.05, ge=0.0)


class CprflParams(MethodParams):
    """CPRFL (arXiv 2408.08125). Defaults are the paper's, or the released code's where it is silent."""

    variants: tuple[Variant, ...] = tuple(PARTS)
    length: float | None = Field(None, gt=0.0)  # of the category vectors, mean square; None: of CLIP's own
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
    backbone_lr: float = Field(0.1, ge=0.0)  # multiple of train.lr for the backbone; 0: frozen, in eval mode
    linear_lr: float = Field(1.0, gt=0.0)  # multiple of train.lr for a linear classifier, which wants more

    @model_validator(mode="after")
    def _some_variant(self) -> "CprflParams":
        if not self.variants or len(set(self.variants)) < len(self.variants):
            raise ValueError(f"variants must name at least one of {', '.join(PARTS)}, each once")
        return self

    def unmet(self, text: str, item: Mapping[str, Any]) -> str | None:
        """Every variant wants prompts: the names of the categories come from them."""
        if text.startswith("prompts/"):
            return None
        return f"cprfl reads category prompts, and methods.cprfl.text is '{text}'; name some such as prompts/scenes"

    @property
    def parts(self) -> Parts:
        """What is built from this block: the last of its variants."""
        return PARTS[self.variants[-1]]
