"""What the paper claims of CPRFL, decided on the pictures at hand."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fieldmark.methods.cprfl.model.names import MAIN, with_prompts
from fieldmark.protocols.multilabel import Scored, difference
from fieldmark.results.claims import claim_difference
from fieldmark.results.schema import Claim


class Statement(NamedTuple):
    """A claim: a variant is better than another by a measure; and the paper's numbers."""

    claim: str
    than: str
    measure: str
    paper: str
    better: str = MAIN


PROMPTS = "mAP on COCO-LT: word2vec 65.3, GloVe 65.6, CLIP's RN50 66.7, ViT-B/16 66.8 (Figure 3; GloVe 65.2 in Table 1)"
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
    Statement(
        "The interaction (VSI) of class names and picture helps",
        "focal",
        "map",
        "mAP under the focal loss, without to with: VOC-LT 73.9 to 83.9, COCO-LT 49.5 to 63.9 (Table 3; what stands "
        "in for PI is not said)",
        better="linear-PI-focal",
    ),
    Statement(
        "PI helps under the focal loss",
        "linear-PI-focal",
        "map",
        "mAP: VOC-LT 83.9 to 84.2, COCO-LT 63.9 to 64.3 (Table 3; what replaces PI is not said)",
        better="CPRFL-focal",
    ),
    Statement(
        "Inside CPRFL the asymmetric loss beats the focal loss",
        "CPRFL-focal",
        "map",
        "mAP: VOC-LT 84.2 to 86.3, COCO-LT 64.3 to 66.7 (Table 3)",
    ),
    Statement(
        "Inside CPRFL the asymmetric loss beats binary cross-entropy",
        "CPRFL-BCE",
        "map",
        "mAP: VOC-LT 79.6 to 86.3, COCO-LT 59.6 to 66.7 (Table 2)",
    ),
    Statement(
        "It does so on the tail, inside CPRFL",
        "CPRFL-BCE",
        "tail",
        "mAP of the tail: VOC-LT 70.5 to 86.4, COCO-LT 49.5 to 61.3 (Table 2)",
    ),
    Statement(
        "Inside CPRFL the asymmetric loss beats the distribution-balanced focal loss",
        "CPRFL-DB",
        "map",
        "mAP: VOC-LT 86.2 to 86.3, COCO-LT 65.1 to 66.7 (Table 2)",
    ),
    Statement(
        "CPRFL beats a linear classifier with the distribution-balanced loss",
        "DB",
        "map",
        "mAP, DB focal to CPRFL: VOC-LT 78.9 to 86.3, COCO-LT 53.6 to 66.7 (Table 1; other backbone and resolution)",
    ),
    Statement("Two gradient paths beat the one through the interaction", "VSI-path", "map", PATHS),
    Statement("Two gradient paths beat the one to the classifiers", "direct-path", "map", PATHS),
)


def make_claims(scored: Mapping[str, Sequence[Scored]], prompts: Sequence[str] = ()) -> list[Claim]:
    """Return the claims for which both variants were scored and categories exist; `prompts` are compared as well."""
    claims = []
    for statement in (*STATEMENTS, *_of_prompts(prompts)):
        if {statement.better, statement.than} <= set(scored):
            gains = difference(scored[statement.better], scored[statement.than])
            if statement.measure in gains:
                decides = f"{statement.measure} of {statement.better} minus {statement.than}"
                gain = gains[statement.measure]
                claims.append(claim_difference(statement.claim, statement.paper, decides, gain))
    return claims


def _of_prompts(prompts: Sequence[str]) -> list[Statement]:
    """Return what is claimed of the first prompts against each of the others."""
    return [
        Statement(f"Prompts from {prompts[0]} beat those from {item}", with_prompts(item), "map", PROMPTS)
        for item in prompts[1:]
    ]
