"""What the paper claims of PMA, decided on the pictures at hand."""

from collections.abc import Mapping

from fieldmark.evaluation.bootstrap import Interval, paired_difference
from fieldmark.methods.pma.evaluation.predictions import MISSING, OWN, Predicted
from fieldmark.results.claims import claim_difference, verdict
from fieldmark.results.schema import Claim

FULL = "PMA"
NEARLY = 0.02  # a student this close to its teacher nearly matches it
BOARD = (
    "CUB top-1, without text to with it: VGG-16 86.8 to 88.2, ResNet-50 87.5 to 88.7 (second author's board)"
)
NO_NUMBER = "no number is public"


def make_claims(found: Mapping[str, Predicted]) -> list[Claim]:
    """Return the claims for which the needed variants and students were scored."""
    base = plain_of(found)
    claims = [
        _better(found, "Text helps", BOARD, FULL, "vision"),
        _better(found, "Attention to parts helps the backbone", NO_NUMBER, "vision", base),
        _better(found, "More than one stage helps", f"3 stages; {NO_NUMBER}", FULL, "PMA-1"),
        _better(found, "The student learns what labels alone do not teach", NO_NUMBER, "student", "twin"),
        _nearly_matches(found),
        _brittle(found),
    ]
    return [claim for claim in claims if claim is not None]


def plain_of(found: Mapping[str, Predicted]) -> str | None:
    """Return the name of the plain backbone trained on labels: the variant, or else the student's twin."""
    return next((name for name in ("plain", "twin") if name in found), None)


def teacher_of(found: Mapping[str, Predicted]) -> str | None:
    """Return the name of the variant that the student learnt from; None where either was not scored."""
    teacher = found["student"].taught_by if "student" in found else None
    return teacher if teacher in found else None


def difference(
    found: Mapping[str, Predicted], first: str, second: str, text: str = OWN, k: int = 1
) -> Interval:
    """Return top-k accuracy of `first`, reading `text`, minus that of `second`, on the same pictures."""
    one, other = found[first], found[second]
    return paired_difference(one.right(k, text), other.right(k), one.test.labels)


def _better(
    found: Mapping[str, Predicted], claim: str, paper: str, better: str, than: str | None
) -> Claim | None:
    if than is None or not {better, than} <= set(found):
        return None
    return claim_difference(claim, paper, f"top1 of {better} minus {than}", difference(found, better, than))


def _nearly_matches(found: Mapping[str, Predicted]) -> Claim | None:
    teacher = teacher_of(found)
    if teacher is None:
        return None
    gap = difference(found, "student", teacher)
    raised = Interval(gap.value + NEARLY, gap.low + NEARLY, gap.high + NEARLY)
    return Claim(
        "The student nearly matches its teacher",
        NO_NUMBER,
        f"top1 of student minus {teacher}, above {-100 * NEARLY:g} points",
        gap.value,
        gap.low,
        gap.high,
        verdict(raised, "above"),
    )


def _brittle(found: Mapping[str, Predicted]) -> Claim | None:
    if not {FULL, "vision"} <= set(found) or MISSING not in found[FULL].logits:
        return None
    return claim_difference(
        "Without its text it is worse than a model of pictures alone",
        "with a modality missing PMA is 32.6 points below EFCMF's 76.3 (Zou et al. 2023, mean of two data sets)",
        f"top1 of {FULL} without phrases minus vision",
        difference(found, FULL, "vision", MISSING),
        "below",
    )
