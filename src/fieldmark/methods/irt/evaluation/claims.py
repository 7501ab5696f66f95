"""What the paper claims of IRT, decided on the pictures at hand."""

from collections.abc import Mapping, Sequence

import numpy as np

from fieldmark.evaluation.geometry import components_difference
from fieldmark.protocols.retrieval import Scored, recall_difference
from fieldmark.results.claims import claim_difference
from fieldmark.results.schema import Claim


def make_claims(scored: Mapping[str, Sequence[Scored]]) -> list[Claim]:
    """Return the claims for which the needed variants were scored."""
    claims = []
    if {"O", "R"} <= set(scored):
        claims.append(
            claim_difference(
                "Fine-tuning beats the frozen backbone",
                "recall@1, DeiT-S, O to R: SOP 52.8 to 84.0, CUB 58.5 to 74.7, In-Shop 31.3 to 91.5 (Table 3)",
                "recall@1 of R minus O",
                recall_difference(scored, "R", "O"),
            )
        )
    if {"L", "R"} <= set(scored):
        claims.append(
            claim_difference(
                "KoLeo improves retrieval",
                "recall@1, DeiT-S, L to R: SOP 83.0 to 84.0, CUB 74.2 to 74.7, In-Shop 90.3 to 91.5 (Table 3)",
                "recall@1 of R minus L",
                recall_difference(scored, "R", "L"),
            )
        )
    # With a single class there is nothing to resample.
    if {"L", "R"} <= set(scored) and len(np.unique(scored["R"][0].queries.labels)) > 1:
        embeddings = {name: [one.embeddings for one in scored[name]] for name in ("L", "R")}
        claims.append(
            claim_difference(
                "KoLeo spreads the descriptors over more dimensions",
                "the energy curve of SOP descriptors flattens as lambda grows (Figures 2 and 3, no numbers)",
                "components for 90 % of the energy, R minus L",
                components_difference(embeddings["R"], embeddings["L"], scored["R"][0].queries.labels),
                negligible=1,
            )
        )
    return claims
