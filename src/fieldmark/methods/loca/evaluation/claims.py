"""What the paper claims of LOCA, decided on the pictures at hand."""

from collections.abc import Mapping
from typing import NamedTuple

from fieldmark.evaluation.segmentation import miou_difference
from fieldmark.methods.loca.evaluation.positions import (
    PositionRuns,
    accuracy_difference,
    position_accuracy,
)
from fieldmark.methods.loca.evaluation.probes import DenseRuns, tuned
from fieldmark.methods.loca.evaluation.scaling import scaling_claims
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.modes import MODES
from fieldmark.results.claims import claim_difference
from fieldmark.results.schema import Claim

ZOO = "ADE20k, fine-tuned: LOCA 44.8 (ViT-S/16), 46.2 (ViT-B/16, 100 epochs) mIoU in the official README"
NO_NUMBER = "the other side's number was not at hand"


class Statement(NamedTuple):
    """A claim, the variant said to be better, and the one it is compared with."""

    claim: str
    better: str
    than: str


STATEMENTS = (
    Statement("LOCA beats random initialisation", "LOCA", "random"),
    Statement("LOCA beats pretraining with labels", "LOCA", "supervised"),
    Statement("Both losses beat the position loss alone", "LOCA", "position"),
    Statement("Both losses beat the feature loss alone", "LOCA", "feature"),
    Statement("Positions across views beat positions in a single picture", "position", "zhai"),
    Statement("Positions of patches beat the box of the query", "position", "box"),
)


def make_claims(models: Mapping[str, Loca], dense: DenseRuns, positions: PositionRuns) -> list[Claim]:
    """Return the claims for which the needed variants were scored; `models` are those of the first seed."""
    given = [name for name, model in models.items() if model.mode.given]
    stated = {statement.than for statement in STATEMENTS if statement.better == "LOCA"}
    others = [
        Statement(f"LOCA beats `{name}`, trained elsewhere", "LOCA", name)
        for name in given
        if name not in {*stated, "LOCA"}
    ]
    claims = []
    for statement in (*STATEMENTS, *others):
        if {statement.better, statement.than} <= set(dense):
            claims += _transfer(statement, dense)
    return [
        *claims,
        *scaling_claims(models, dense),
        *_pretext(positions),
        *_masking(models, positions),
    ]


def _transfer(statement: Statement, dense: DenseRuns) -> list[Claim]:
    """Decide a statement by the fine-tuned models, where both are, and by the probes."""
    better, than = dense[statement.better], dense[statement.than]
    ways = [("probe", "probe on the same labels", [one.probe for one in better], [one.probe for one in than])]
    if tuned(better) and tuned(than):
        ways.insert(0, ("fine-tuning", "fine-tuning on the same labels", tuned(better), tuned(than)))
        fewest = min(better[0].tunings)
        if fewest < max(better[0].tunings):
            few = f"fine-tuning on {100 * fewest:.3g} % of the labels"
            first, second = ([one.tunings[fewest] for one in side] for side in (better, than))
            ways.insert(1, (few, f"{few}, the same for both", first, second))
    return [
        claim_difference(
            f"{statement.claim}, by {way}",
            f"{ZOO}; {NO_NUMBER}",
            f"mIoU of {statement.better} minus {statement.than}, {measured}",
            miou_difference(first, second),
        )
        for way, measured, first, second in ways
    ]


def _pretext(positions: PositionRuns) -> list[Claim]:
    claims = []
    if "LOCA" in positions:
        first = positions["LOCA"][0]
        claims.append(
            claim_difference(
                "Positions of unseen pictures are predicted better than by chance",
                "Figure 3 (numbers not at hand)",
                f"position accuracy of LOCA minus 1 in {first.patches}",
                position_accuracy(positions["LOCA"]).minus(first.chance),
            )
        )
    if {"position", "zhai"} <= set(positions):
        claims.append(
            claim_difference(
                "A single picture's positions are easier to predict than those across views",
                "Figure 3 (numbers not at hand)",
                "mean position accuracy by picture, zhai minus position",
                accuracy_difference(positions["zhai"], positions["position"]),
            )
        )
    return claims


def _masking(models: Mapping[str, Loca], positions: PositionRuns) -> list[Claim]:
    """The more of the reference is hidden, the harder: LOCA's smallest eta against its largest."""
    parts = {name: models[name].variant.parts for name in positions}
    by_eta = sorted(
        (part.eta, name) for name, part in parts.items() if part.mode == MODES["LOCA"] and not part.scaled
    )
    if len({eta for eta, _ in by_eta}) < 2:
        return []
    smallest, largest = by_eta[0][1], by_eta[-1][1]
    return [
        claim_difference(
            "Hiding reference patches makes the pretext task harder",
            "Figure 3: almost solved without masking (numbers not at hand)",
            f"mean position accuracy by picture, {smallest} minus {largest}",
            accuracy_difference(positions[smallest], positions[largest]),
        )
    ]
