"""What the paper claims of IRT, decided on the pictures at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fieldmark.evaluation.bootstrap import Interval, paired_difference
from fieldmark.evaluation.geometry import components_difference
from fieldmark.reporting.claims import Claim, claim_difference

if TYPE_CHECKING:
    from fieldmark.methods.irt.evaluation.scores import Scored


def make_claims(scored: Mapping[str, Scored]) -> list[Claim]:
    """Return the claims for which the needed variants were scored."""
    claims = []
    if {"O", "R"} <= set(scored):
        claims.append(
            claim_difference(
                "Fine-tuning beats the frozen backbone",
                "recall@1, DeiT-S, O to R: SOP 52.8 to 84.0, CUB 58.5 to 74.7, In-Shop 31.3 to 91.5 (Table 3)",
                "recall@1 of R minus O",
                _recall_difference(scored, "R", "O"),
            )
        )
    if {"L", "R"} <= set(scored):
        claims.append(
            claim_difference(
                "KoLeo improves retrieval",
                "recall@1, DeiT-S, L to R: SOP 83.0 to 84.0, CUB 74.2 to 74.7, In-Shop 90.3 to 91.5 (Table 3)",
                "recall@1 of R minus L",
                _recall_difference(scored, "R", "L"),
            )
        )
        claims.append(
            claim_difference(
                "KoLeo spreads the descriptors over more dimensions",
                "the energy curve of SOP descriptors flattens as lambda grows (Figures 2 and 3, no numbers)",
                "components for 90 % of the energy, R minus L",
                components_difference(
                    scored["R"].embeddings, scored["L"].embeddings, scored["R"].queries.labels
                ),
                negligible=1,
            )
        )
    return claims


def _recall_difference(scored: Mapping[str, Scored], first: str, second: str) -> Interval:
    measure = f"recall@{scored[first].ks[0]}"
    return paired_difference(
        scored[first].per_query(measure), scored[second].per_query(measure), scored[first].clusters
    )
