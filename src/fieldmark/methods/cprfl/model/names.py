"""What the variants are called and made of: a loss is a linear classifier with it, and a head may have a loss added."""

import re
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

from fieldmark.methods.cprfl.model.vectors import Vectors

Loss = Literal["BCE", "RW", "focal", "CB", "LDAM", "R-BCE", "DB-0", "DB", "ASL"]
RESAMPLED = "RS"  # BCE on pictures that are drawn class by class

LOSS_TITLES: dict[str, str] = {
    "BCE": "binary cross-entropy",
    "RW": "binary cross-entropy, rare classes weigh more",
    "focal": "focal loss",
    "CB": "class-balanced focal loss",
    "LDAM": "binary cross-entropy, rare classes have wider margins (LDAM)",
    "R-BCE": "re-balanced binary cross-entropy",
    "DB-0": "distribution-balanced loss without focus",
    "DB": "distribution-balanced focal loss",
    "ASL": "asymmetric loss",
}


@dataclass(frozen=True)
class Parts:
    """What a variant is made of; without `vectors` it is a linear classifier.

    `prompts` are the item of `prompts:` that it reads, where the block names several, None the first of them.
    `resampled` says that its training draws pictures class by class. `no_feature_grad` cuts the gradient's path through
    the interaction, `no_cls_grad` its path to the prompts as classifiers.
    """

    loss: Loss = "ASL"
    vectors: Vectors | None = None
    prompts: str | None = None
    nonlinear: bool = True
    resampled: bool = False
    no_feature_grad: bool = False
    no_cls_grad: bool = False


class Row(NamedTuple):
    """What the table says of a variant."""

    title: str
    parts: Parts


LINEAR: dict[str, Row] = {
    **{loss: Row(f"linear classifier, {LOSS_TITLES[loss]}", Parts(loss)) for loss in get_args(Loss)},
    RESAMPLED: Row(
        "linear classifier, binary cross-entropy, pictures drawn class by class", Parts("BCE", resampled=True)
    ),
}
PROMPTED: dict[str, Row] = {
    "random": Row("CPRFL with random vectors as prompts", Parts(vectors="random")),
    "one-hot": Row("CPRFL with one-hot vectors as prompts", Parts(vectors="one-hot")),
    "linear-PI": Row("CPRFL with a linear prompt network", Parts(vectors="clip", nonlinear=False)),
    "VSI-path": Row("CPRFL, gradient through the interaction only", Parts(vectors="clip", no_cls_grad=True)),
    "direct-path": Row(
        "CPRFL, gradient to the prompts as classifiers only", Parts(vectors="clip", no_feature_grad=True)
    ),
    "CPRFL": Row("prompts from CLIP, both gradient paths, asymmetric loss", Parts(vectors="clip")),
}
TABLE: dict[str, Row] = {**LINEAR, **PROMPTED}
MAIN = "CPRFL"
_WITH_LOSS = re.compile(rf"({'|'.join(PROMPTED)})-({'|'.join(get_args(Loss))})")


def parse_name(name: str) -> Row:
    """Return what a variant is that is called by its loss, by its head ("CPRFL"), or by both ("CPRFL-DB").

    Raises ValueError for what is no such name.
    """
    if name in TABLE:
        return TABLE[name]
    match = _WITH_LOSS.fullmatch(name)
    if match is None:
        raise ValueError(
            f"'{name}' is no variant; there are {', '.join(TABLE)}, and the last {len(PROMPTED)} with a loss "
            "other than ASL, as in CPRFL-DB"
        )
    head, loss = PROMPTED[match[1]], next(loss for loss in get_args(Loss) if loss == match[2])
    title = head.title.removesuffix(f", {LOSS_TITLES['ASL']}")
    return Row(f"{title}, {LOSS_TITLES[loss]}", replace(head.parts, loss=loss))


def with_prompts(item: str) -> str:
    """Return what CPRFL is called where it reads another item of `prompts:`."""
    return f"{MAIN}@{item}"
