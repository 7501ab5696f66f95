"""What the paper claims of PMA, decided on the pictures at hand."""

from collections.abc import Mapping

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.methods.pma.evaluation.predictions import MISSING, OWN, Runs, reading
from fieldmark.protocols.classification import top_difference
from fieldmark.results.claims import claim_difference
from fieldmark.results.schema import Claim

FULL = "PMA"
NEARLY = 0.02  # a student this close to its teacher nearly matches it
BOARD = (
    "CUB top-1, without text to with it: VGG-16 86.8 to 88.2, ResNet-50 87.5 to 88.7 (second author's board)"
)
NO_NUMBER = "no number is public"


def make_claims(predicted: Runs) -> list[Claim]:
    """Return the claims for which the needed variants and students were scored."""
    base = plain_of(predicted)
    claims = [
        _better(predicted, "Text helps", BOARD, FULL, "vision"),
        _better(predicted, "Attention to parts helps the backbone", NO_NUMBER, "vision", base),
        _better(predicted, "More than one stage helps", f"3 stages; {NO_NUMBER}", FULL, "PMA-1"),
        _better(predicted, "The student learns what labels alone do not teach", NO_NUMBER, "student", "twin"),
        _nearly_matches(predicted),
        _brittle(predicted),
    ]
    return [claim for claim in claims if claim is not None]


def plain_of(predicted: Mapping[str, object]) -> str | None:
    """Return the name of the plain backbone trained on labels: the variant, or else the student's twin."""
    return next((name for name in ("plain", "twin") if name in predicted), None)


def teacher_of(predicted: Runs) -> str | None:
    """Return the name of the variant that the student learnt from; None where either was not scored."""
    teacher = predicted["student"][0].variant.params.teacher if "student" in predicted else None
    return teacher if teacher in predicted else None


def _difference(predicted: Runs, first: str, second: str, text: str = OWN) -> Interval:
    """Return top-1 accuracy of `first`, reading `text`, minus that of `second`, on the same pictures and seeds."""
    return top_difference(reading(predicted[first], text), reading(predicted[second]))


def _better(predicted: Runs, claim: str, paper: str, better: str, than: str | None) -> Claim | None:
    if than is None or not {better, than} <= set(predicted):
        return None
    return claim_difference(
        claim, paper, f"top1 of {better} minus {than}", _difference(predicted, better, than)
    )


def _nearly_matches(predicted: Runs) -> Claim | None:
    teacher = teacher_of(predicted)
    if teacher is None:
        return None
    return claim_difference(
        "The student nearly matches its teacher",
        NO_NUMBER,
        f"top1 of student minus {teacher}, above {-100 * NEARLY:g} points",
        _difference(predicted, "student", teacher),
        margin=NEARLY,
    )


def _brittle(predicted: Runs) -> Claim | None:
    if not {FULL, "vision"} <= set(predicted) or MISSING not in predicted[FULL][0].by_text:
        return None
    return claim_difference(
        "Without its text it is worse than a model of pictures alone",
        "with a modality missing PMA is 32.6 points below EFCMF's 76.3 (Zou et al. 2023, mean of two data sets)",
        f"top1 of {FULL} without phrases minus vision",
        _difference(predicted, FULL, "vision", MISSING),
        "below",
    )
