"""The variants of CPRFL: what each is, and what it is made of."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from fieldmark.contract.method import Variant
from fieldmark.methods.cprfl.model.params import CprflParams, VariantName
from fieldmark.methods.cprfl.model.vectors import Vectors

Loss = Literal["BCE", "focal", "DB", "ASL"]


@dataclass(frozen=True)
class Parts:
    """What a variant is made of; without `vectors` it is a linear classifier.

    `no_feature_grad` cuts the gradient's path through the interaction, `no_cls_grad` its path to the prompts as
    classifiers.
    """

    loss: Loss = "ASL"
    vectors: Vectors | None = None
    nonlinear: bool = True
    no_feature_grad: bool = False
    no_cls_grad: bool = False


class Row(NamedTuple):
    """What the table says of a variant."""

    title: str
    parts: Parts


TABLE: dict[VariantName, Row] = {
    "BCE": Row("linear classifier, binary cross-entropy", Parts("BCE")),
    "focal": Row("linear classifier, focal loss", Parts("focal")),
    "DB": Row("linear classifier, distribution-balanced focal loss", Parts("DB")),
    "ASL": Row("linear classifier, asymmetric loss", Parts("ASL")),
    "random": Row("CPRFL with random vectors as prompts", Parts(vectors="random")),
    "one-hot": Row("CPRFL with one-hot vectors as prompts", Parts(vectors="one-hot")),
    "linear-PI": Row("CPRFL with a linear prompt network", Parts(vectors="clip", nonlinear=False)),
    "VSI-path": Row("CPRFL, gradient through the interaction only", Parts(vectors="clip", no_cls_grad=True)),
    "direct-path": Row(
        "CPRFL, gradient to the prompts as classifiers only", Parts(vectors="clip", no_feature_grad=True)
    ),
    "CPRFL": Row("prompts from CLIP, both gradient paths, asymmetric loss", Parts(vectors="clip")),
}

CprflVariant = Variant[CprflParams, Parts]


def all_variants(params: CprflParams) -> list[CprflVariant]:
    """Return each variant that the block names; all have the block as it is, and so the same budget."""
    return [CprflVariant(name, TABLE[name].title, params, TABLE[name].parts) for name in params.variants]
