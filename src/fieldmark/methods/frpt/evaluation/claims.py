"""What the paper claims of FRPT, decided on the pictures at hand."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fieldmark.engine.params import TrainRecipe
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation.convergence import lead
from fieldmark.methods.frpt.evaluation.pairs import Pair, pairs
from fieldmark.methods.frpt.evaluation.progress import Progress
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.variants import all_variants, few_name
from fieldmark.protocols.retrieval import Scored, recall_difference
from fieldmark.results.claims import claim_difference, untestable
from fieldmark.results.schema import Claim


class Statement(NamedTuple):
    """A claim, the variant said to be better and the one it is compared with, and the paper's numbers."""

    claim: str
    better: str
    than: str
    paper: str


STATEMENTS = (  # recall@1 in per cent, ResNet-50
    Statement(
        "FRPT beats the frozen backbone", "FRPT", "frozen", "CUB 44.9 to 74.3, Cars 58.9 to 91.1 (Table 1)"
    ),
    Statement(
        "FRPT beats full fine-tuning", "FRPT", "finetune", "CUB 69.5 to 74.3, Cars 84.4 to 91.1 (Table 1)"
    ),
    Statement(
        "The prompt helps the frozen backbone",
        "DPP",
        "frozen",
        "CUB 44.9 to 55.7, Cars 58.9 to 72.7 (Table 1)",
    ),
    Statement(
        "The prompt helps beside the head", "FRPT", "CAH", "CUB 61.8 to 74.3, Cars 76.9 to 91.1 (Table 1)"
    ),
    Statement(
        "The learned prompt beats a crop to the box of activations",
        "FRPT",
        "activation",
        "CUB 63.7 to 74.3 (Table 5, box of class activations)",
    ),
    Statement(
        "The learned prompt beats a crop to the annotated box", "FRPT", "box", "CUB 67.6 to 74.3 (Table 5)"
    ),
    Statement(
        "The head helps the frozen backbone", "CAH", "frozen", "CUB 44.9 to 61.8, Cars 58.9 to 76.9 (Table 1)"
    ),
    Statement(
        "The head helps beside the prompt", "FRPT", "DPP", "CUB 55.7 to 74.3, Cars 72.7 to 91.1 (Table 1)"
    ),
    Statement(
        "Instance normalisation helps", "FRPT", "attention", "CUB 72.2 to 74.3, Cars 89.6 to 91.1 (Table 1)"
    ),
)
_SAMPLED = tuple(
    statement._replace(than="sampled") if statement.better == "DPP" else statement
    for statement in STATEMENTS
    if statement.than != "CAH"
)
ONE_MODEL = (
    "Under average pooling attention and FRPT are one model: an instance-normalised channel has mean 0, "
    "so equation 7 leaves weight times mean. What differs between the two is rounding."
)
FEW = {10: "CUB 63.1 to 66.6", 5: "CUB 59.7 to 62.8"}  # Table 4
LARGER = {  # by training pictures per class
    "resnet101": {
        None: "CUB 70.9 to 75.6, Cars 85.1 to 90.4, Aircraft 69.7 to 76.2 (Table 3)",
        10: "CUB 64.7 to 68.9 (Table 4)",
        5: "CUB 61.5 to 65.2 (Table 4)",
    }
}


def make_claims(scored: Mapping[str, Sequence[Scored]], params: FrptParams) -> list[Claim]:
    """Return the claims for which both variants were scored, and the one that no measurement decides.

    With finer pictures (`source`) only `sampled` sees the same pictures as the prompt: no other variant tells what it
    learned.
    """
    statements = (*(STATEMENTS if params.source is None else _SAMPLED), *map(_with_few, params.shots))
    return [
        _decide(statement, scored, params)
        for statement in statements
        if statement.better in scored and (statement.than in scored or _is_one_model(statement, params))
    ]


def arm_claims(
    scored: Mapping[str, Sequence[Scored]], models: Mapping[str, Sequence[Frpt]], params: FrptParams
) -> list[Claim]:
    """Decide whether FRPT beats the fine-tuning like it, for each pair of which one is no ordinary variant."""
    ordinary = {variant.name for variant in all_variants(params)}
    return [
        claim_difference(
            f"FRPT beats full fine-tuning, {pair.ours} and {pair.theirs}",
            _reported_of(pair),
            f"{scored[pair.ours][0].recalls[0]} of {pair.ours} minus {pair.theirs}",
            recall_difference(scored, pair.ours, pair.theirs),
        )
        for pair in pairs(models)
        if not {pair.ours, pair.theirs} <= ordinary
    ]


def _reported_of(pair: Pair) -> str:
    network = next((network for network in LARGER if pair.arch.startswith(network)), None)
    if network is None or pair.shots not in LARGER[network]:
        return "ResNet-50 and ResNet-101 only (Tables 3 and 4)"
    return f"recall@1, ResNet-101, finetune to FRPT: {LARGER[network][pair.shots]}"


def convergence_claims(
    progress: Mapping[str, Progress], models: Mapping[str, Sequence[Frpt]], task: Task
) -> list[Claim]:
    """Decide which of FRPT and the fine-tuning like it is the sooner as good as fine-tuning at its end.

    There is a claim only where both were followed; it says after how many passes each was there.
    """
    return [
        _converges(pair, progress, models[pair.theirs][0].params.train, len(task.subset("train")))
        for pair in pairs(models)
        if {pair.ours, pair.theirs} <= set(progress)
    ]


def _converges(pair: Pair, progress: Mapping[str, Progress], train: TrainRecipe, pictures: int) -> Claim:
    found = lead(progress[pair.ours], progress[pair.theirs])
    passes = train.steps * train.batch_size / pictures
    ours, theirs = (f"{part * passes:.3g}" for part in (found.ours, found.theirs))
    ordinary = (pair.ours, pair.theirs) == ("FRPT", "finetune")
    return claim_difference(
        "FRPT converges faster than full fine-tuning"
        + ("" if ordinary else f", {pair.ours} and {pair.theirs}"),
        "recall@1 over epochs, ResNet-50 and ResNet-101 on CUB (Figure 2, no numbers)",
        f"part of the training until the recall that {pair.theirs} ends with, {pair.theirs} minus {pair.ours} "
        f"(after {theirs} and {ours} of {passes:.3g} passes; not to reach it counts as all of them)",
        found.lead,
    )


def _decide(statement: Statement, scored: Mapping[str, Sequence[Scored]], params: FrptParams) -> Claim:
    claim, better, than, paper = statement
    reported = f"recall@1, ResNet-50, {'frozen' if than == 'sampled' else than} to {better}: {paper}"
    decides = f"{scored[better][0].recalls[0]} of {better} minus {than}"
    if _is_one_model(statement, params):
        return untestable(claim, reported, decides, ONE_MODEL)
    return claim_difference(claim, reported, decides, recall_difference(scored, better, than))


def _is_one_model(statement: Statement, params: FrptParams) -> bool:
    """Say whether the two variants of a statement are the same by construction."""
    return statement.than == "attention" and params.pooling == "average"


def _with_few(shots: int) -> Statement:
    return Statement(
        f"FRPT beats full fine-tuning with {shots} training pictures per class",
        few_name("FRPT", shots),
        few_name("finetune", shots),
        f"{FEW[shots]} (Table 4)" if shots in FEW else "10 and 5 per class only (Table 4)",
    )
