"""What the paper claims of PMA, decided on the pictures at hand."""

from collections.abc import Mapping
from typing import NamedTuple

from fieldmark.evaluation.bootstrap import Interval, paired_difference
from fieldmark.methods.pma.evaluation.predictions import MISSING, OWN, Runs, new_parts, reading
from fieldmark.protocols.classification import top_difference
from fieldmark.results.claims import claim_difference, untestable
from fieldmark.results.schema import Claim

FULL = "PMA"
NEARLY = 0.02  # a student this close to its teacher nearly matches it
BOARD = (
    "CUB top-1, without text to with it: VGG-16 86.8 to 88.2, ResNet-50 87.5 to 88.7 (second author's board)"
)
NO_NUMBER = "no number is public"
AGAIN = f"without masks attention returns to the same few parts; {NO_NUMBER}"
VISION, UNSEEING = "vision", "vision-no-mask"


class Ablation(NamedTuple):
    """A claim, the variant said to be better, and the one that lacks what is claimed to help."""

    claim: str
    better: str
    than: str
    paper: str = NO_NUMBER


ABLATIONS = (
    Ablation("Masking located parts helps", FULL, "PMA-no-visual-mask", AGAIN),
    Ablation("Masking located parts helps on pictures alone", VISION, UNSEEING, AGAIN),
    Ablation("Masking phrases that were called up helps", FULL, "PMA-no-text-mask", AGAIN),
    Ablation("The local streams help", FULL, "PMA-no-local"),
    Ablation("The global streams help", FULL, "PMA-no-global"),
    Ablation("Phrases are better called up by the part (QRM) than by themselves (SAM)", FULL, "PMA-SAM"),
    Ablation("SAM finds more than QRM alone", FULL, "PMA-QRM"),
)


def make_claims(predicted: Runs) -> list[Claim]:
    """Return the claims for which the needed variants and students were scored."""
    base = plain_of(predicted)
    claims = [
        _better(predicted, "Text helps", BOARD, FULL, VISION),
        _better(predicted, "Attention to parts helps the backbone", NO_NUMBER, VISION, base),
        _better(predicted, "More than one stage helps", f"3 stages; {NO_NUMBER}", FULL, "PMA-1"),
        _better(predicted, "The student learns what labels alone do not teach", NO_NUMBER, "student", "twin"),
        _nearly_matches(predicted),
        _brittle(predicted),
        _finds_new_parts(predicted, FULL, "PMA-no-visual-mask"),
        _finds_new_parts(predicted, VISION, UNSEEING),
        *(_ablated(predicted, ablation) for ablation in ABLATIONS),
    ]
    return [claim for claim in claims if claim is not None]


def unmasked(predicted: Runs) -> list[str]:
    """Return the names of the variants that may look at a part again."""
    return [name for name, by_seed in predicted.items() if by_seed[0].variant.parts.without == "visual-mask"]


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


def _finds_new_parts(predicted: Runs, masked: str, other: str) -> Claim | None:
    if not {masked, other} <= set(predicted):
        return None
    claim = "Masking finds new parts" + (" on pictures alone" if masked == VISION else "")
    decides = f"share of stages that look at a new part, {masked} minus {other}"
    if reason := _alike(predicted, masked, other):
        return untestable(claim, AGAIN, decides, reason)
    first, second = ([new_parts(one.parts) for one in predicted[name]] for name in (masked, other))
    labels = predicted[masked][0].with_own_text.test.labels
    return claim_difference(claim, AGAIN, decides, paired_difference(first, second, labels))


def _ablated(predicted: Runs, ablation: Ablation) -> Claim | None:
    claim, better, than, paper = ablation
    if {better, than} <= set(predicted) and (reason := _alike(predicted, better, than)):
        return untestable(claim, paper, f"top1 of {better} minus {than}", reason)
    return _better(predicted, claim, paper, better, than)


def _alike(predicted: Runs, first: str, second: str) -> str:
    """Say why the parameters make two variants the same; empty where they do not."""
    variant = predicted[second][0].variant
    if variant.parts.without == "visual-mask" and variant.parts.stages == 1:
        return (
            f"With one stage there is no later one to hide a part from: {first} and {second} are one model."
        )
    if variant.parts.without == "text-mask" and not variant.params.text_mask_max:
        return f"With text_mask_max 0 no phrase is ever masked: {first} and {second} are one model."
    return ""
