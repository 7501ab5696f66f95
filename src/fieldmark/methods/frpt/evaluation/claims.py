"""What the paper claims of FRPT, decided on the pictures at hand."""

from collections.abc import Mapping
from typing import NamedTuple

from fieldmark.engine.retrieval import Scored, recall_difference
from fieldmark.methods.frpt.model.params import Variant
from fieldmark.reporting.claims import Claim, claim_difference


class Statement(NamedTuple):
    """A claim, the variant said to be better and the one it is compared with, and the paper's numbers."""

    claim: str
    better: Variant
    than: Variant
    cub: tuple[float, float]  # recall@1 in per cent, from `than` to `better`
    cars: tuple[float, float]


STATEMENTS = (  # all from Table 1, ResNet-50
    Statement("FRPT beats the frozen backbone", "FRPT", "frozen", (44.9, 74.3), (58.9, 91.1)),
    Statement("FRPT beats full fine-tuning", "FRPT", "finetune", (69.5, 74.3), (84.4, 91.1)),
    Statement("The prompt helps the frozen backbone", "DPP", "frozen", (44.9, 55.7), (58.9, 72.7)),
    Statement("The prompt helps beside the head", "FRPT", "CAH", (61.8, 74.3), (76.9, 91.1)),
    Statement("The head helps the frozen backbone", "CAH", "frozen", (44.9, 61.8), (58.9, 76.9)),
    Statement("The head helps beside the prompt", "FRPT", "DPP", (55.7, 74.3), (72.7, 91.1)),
    Statement("Instance normalisation helps", "FRPT", "attention", (72.2, 74.3), (89.6, 91.1)),
)


def make_claims(scored: Mapping[str, Scored]) -> list[Claim]:
    """Return the claims for which both variants were scored."""
    return [
        claim_difference(
            one.claim,
            f"recall@1, ResNet-50, {one.than} to {one.better}: "
            f"CUB {one.cub[0]} to {one.cub[1]}, Cars {one.cars[0]} to {one.cars[1]} (Table 1)",
            f"{scored[one.better].recalls[0]} of {one.better} minus {one.than}",
            recall_difference(scored, one.better, one.than),
        )
        for one in STATEMENTS
        if {one.better, one.than} <= set(scored)
    ]
