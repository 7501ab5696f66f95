"""What the paper says of backbones, pooling, losses and margins: decided where arms were trained with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from fieldmark.evaluation.geometry import components_difference
from fieldmark.methods.irt.evaluation.settings import (
    OF_LOSSES,
    Setting,
    Settings,
    first_pair,
    groups,
)
from fieldmark.protocols.retrieval import Scored, recall_difference
from fieldmark.results.claims import claim_difference
from fieldmark.results.schema import Claim

Runs = Mapping[str, Sequence[Scored]]
POOLING = {  # Table 9
    "average": "SOP 83.0 and 83.0, CUB 74.4 and 72.8, In-Shop 90.4 and 90.2",
    "max": "SOP 83.0 and 82.2, CUB 74.4 and 69.2, In-Shop 90.4 and 90.3",
    "gem": "SOP 83.0 and 82.6, CUB 74.4 and 69.1, In-Shop 90.4 and 89.8",
}
LOSSES = {  # Table 4
    "nsoftmax": ("NSoftmax", "SOP, NSoftmax to contrastive: ResNet-50 79.5 to 79.8, DeiT-S 80.8 to 83.0"),
    "snca": ("SNCA", "SOP, SNCA to contrastive: ResNet-50 78.0 to 79.8, DeiT-S 81.1 to 83.0"),
}
MARGIN, LAMBDA = 0.5, 0.7  # the paper's
LOW = "recall@1 on SOP with lambda 0.7, margins 0.1 to 0.5: ResNet-50 78.8 to 81.2, DeiT-S 70.1 to 84.0 (Table 5)"
HIGH = "recall@1 on SOP with lambda 0.7, margins 0.9 to 0.5: ResNet-50 13.4 to 81.2, DeiT-S 71.2 to 84.0 (Table 5)"


def compare(scored: Runs, settings: Settings) -> list[Claim]:
    """Return the claims for which two models differ in nothing else; of several such pairs the first decides."""
    return [
        *_backbones(scored, settings),
        *_pooling(scored, settings),
        *_losses(scored, settings),
        *_margins(scored, settings),
    ]


def _backbones(scored: Runs, settings: Settings) -> Iterator[Claim]:
    # A convolutional network has no class token to take.
    pair = first_pair(settings, _transformer, _convolutional, ("backbone", "pooling"))
    if pair:
        yield _recall(
            scored,
            pair,
            "A transformer beats a convolutional network under the same loss",
            "recall@1 on SOP, ResNet-50 to DeiT-S, contrastive: 79.8 to 83.0 (Table 4)",
        )
        yield from _collapse(scored, *pair)
    pair = first_pair(settings, lambda one: one.distilled, _undistilled, ("backbone",))
    if pair:
        yield _recall(
            scored,
            pair,
            "A transformer that was distilled from a convolutional network is the better start",
            "recall@1, DeiT-S, without to with distillation: SOP 84.0 to 84.2, CUB 74.7 to 76.6, In-Shop 91.5 to 91.9 "
            "(Table 2)",
        )


def _collapse(scored: Runs, first: str, second: str) -> Iterator[Claim]:
    labels = scored[first][0].queries.labels
    if len(np.unique(labels)) > 1:  # with a single class there is nothing to resample
        one, other = ([run.embeddings for run in scored[name]] for name in (first, second))
        yield claim_difference(
            "Transformers collapse less than convolutional networks",
            "384 dimensions of DeiT-S spread over more components than 2,048 of ResNet-50 (Figure 3, no numbers)",
            f"components for 90 % of the energy, {first} minus {second}",
            components_difference(one, other, labels),
            negligible=1,
        )


def _pooling(scored: Runs, settings: Settings) -> Iterator[Claim]:
    for pooling, numbers in POOLING.items():
        pair = first_pair(settings, _has("pooling", "cls"), _has("pooling", pooling), ("pooling",))
        if pair:
            yield _recall(
                scored,
                pair,
                f"The class token is better than {pooling} pooling",
                f"recall@1, DeiT-S, class token and {pooling}: {numbers} (Table 9)",
            )


def _losses(scored: Runs, settings: Settings) -> Iterator[Claim]:
    for loss, (title, numbers) in LOSSES.items():
        pair = first_pair(settings, _has("loss", "contrastive"), _has("loss", loss), ("loss", *OF_LOSSES))
        if pair:
            claim = f"The contrastive loss with a memory beats {title}"
            yield _recall(scored, pair, claim, f"recall@1 on {numbers} (Table 4)")


def _margins(scored: Runs, settings: Settings) -> Iterator[Claim]:
    """Yield claims on a group that has the paper's margin between two others, with the paper's lambda if one has."""
    for group in sorted(groups(settings, "margin"), key=lambda group: group[0].values["lambda"] != LAMBDA):
        low, high = group[0], group[-1]
        middle = next((setting for setting in group if setting.values["margin"] == MARGIN), None)
        if middle and low.values["margin"] < MARGIN < high.values["margin"]:
            for other, which, paper in ((low, "small", LOW), (high, "large", HIGH)):
                yield _recall(
                    scored,
                    (middle.name, other.name),
                    f"A margin of {MARGIN} is better than one that is too {which}, {other.values['margin']:g}",
                    paper,
                )
            return


def _recall(scored: Runs, pair: tuple[str, str], claim: str, paper: str) -> Claim:
    first, second = pair
    decides = f"{scored[first][0].recalls[0]} of {first} minus {second}"
    return claim_difference(claim, paper, decides, recall_difference(scored, first, second))


def _has(key: str, value: str) -> Callable[[Setting], bool]:
    return lambda setting: setting.values[key] == value


def _transformer(setting: Setting) -> bool:
    return setting.has_cls and not setting.distilled and setting.values["pooling"] == "cls"


def _convolutional(setting: Setting) -> bool:
    return not setting.has_cls


def _undistilled(setting: Setting) -> bool:
    return setting.has_cls and not setting.distilled
