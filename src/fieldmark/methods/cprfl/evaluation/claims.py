"""What the paper claims of CPRFL, decided on the pictures at hand."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fieldmark.methods.cprfl.model.params import VariantName
from fieldmark.protocols.multilabel import Scored, difference
from fieldmark.results.claims import claim_difference
from fieldmark.results.schema import Claim


class Statement(NamedTuple):
    """A claim: CPRFL is better than a variant by a measure; and the paper's numbers."""

    claim: str
    than: VariantName
    measure: str
    paper: str


MAIN: VariantName = "CPRFL"
PATHS = "the method trains along both paths; no numbers"
STATEMENTS = (
    Statement(
        "CPRFL beats a linear classifier with the same loss",
        "ASL",
        "map",
        "mAP, ASL to CPRFL: VOC-LT 76.4 to 86.3, COCO-LT 50.2 to 66.7 (Table 1; other backbone and resolution)",
    ),
    Statement(
        "It does so on the tail",
        "ASL",
        "tail",
        "mAP of the tail, ASL to CPRFL: VOC-LT 76.3 to 86.4, COCO-LT 46.7 to 61.3 (Table 1)",
    ),
    Statement(
        "The prompt network (PI) helps",
        "linear-PI",
        "map",
        "mAP, without to with: VOC-LT 83.9 to 84.2, COCO-LT 63.9 to 64.3 (Table 3; what replaces it is not said)",
    ),
    Statement(
        "CLIP's embeddings are better prompts than random ones",
        "random",
        "map",
        "mAP on COCO-LT: 63.9 to 66.7 (Figure 3)",
    ),
    Statement("Two gradient paths beat the one through the interaction", "VSI-path", "map", PATHS),
    Statement("Two gradient paths beat the one to the classifiers", "direct-path", "map", PATHS),
)


def make_claims(scored: Mapping[str, Sequence[Scored]]) -> list[Claim]:
    """Return the claims for which both variants were scored and categories exist."""
    claims = []
    for statement in STATEMENTS:
        if {MAIN, statement.than} <= set(scored):
            gains = difference(scored[MAIN], scored[statement.than])
            if statement.measure in gains:
                decides = f"{statement.measure} of {MAIN} minus {statement.than}"
                gain = gains[statement.measure]
                claims.append(claim_difference(statement.claim, statement.paper, decides, gain))
    return claims
