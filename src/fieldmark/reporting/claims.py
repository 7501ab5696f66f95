"""All claims of a set of runs in one table, with what each seed said: what `make claims` keeps."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fieldmark.base.errors import UserError
from fieldmark.reporting import formatting
from fieldmark.reporting.formatting import VERDICTS, markdown, markdown_table
from fieldmark.results.files import checked
from fieldmark.results.schema import Claim, MethodResult

TOGETHER = (
    "Verdicts of a method are right together, in 95 % of all runs (Holm's procedure): one alone may leave its claim "
    "undecided though its own interval leaves out zero."
)


class MethodClaim(Claim):
    """A claim with the method that it is about, and the precision in which its models were trained."""

    method: str
    precision: str


class ClaimTable(BaseModel):
    """`reports/claims.json`: the claims by method, those of a method in its own order."""

    model_config = ConfigDict(frozen=True)

    claims: tuple[MethodClaim, ...]


def collect_claims(results: Path) -> ClaimTable:
    """Read the claims of every method in `results`, a folder of results files.

    Raises UserError when there are none, and for a malformed file.
    """
    methods = [checked(MethodResult, path) for path in sorted(results.glob("*.json"))]
    if not methods:
        raise UserError(f"{results} holds no results; run `make repro` first, or name another folder")
    return ClaimTable(
        claims=tuple(
            MethodClaim(**claim.model_dump(), method=result.method, precision=result.precision)
            for result in methods
            for claim in result.claims
        )
    )


def read_claims(path: Path) -> ClaimTable:
    """Read what `collect_claims` gave. Raises UserError for a malformed file."""
    return checked(ClaimTable, path)


def render_claims(table: ClaimTable) -> str:
    """Return the page `reports/claims.md`."""
    tally = Counter(claim.verdict for claim in table.claims)
    counted = ", ".join(f"{tally[verdict]} {verdict}" for verdict in VERDICTS if tally[verdict])
    return (
        f"# Claims of the papers\n\n{counted or 'No method makes a claim'}.\n\n"
        "A value is a difference as the column says, in points (per cent) where it is one of fractions; over several "
        "training seeds it is their mean, its 95 % interval holds for other classes (or pictures) and other seeds, and "
        "the value of each seed is beside it. "
        f"{TOGETHER}\n\n"
        f"{claims_table(table.claims)}\n"
    )


def claims_table(claims: Sequence[MethodClaim]) -> str:
    """Return the claims as a table of Markdown."""
    head = [
        "method",
        "claim",
        "the paper reports",
        "here",
        "95 % interval",
        "by seed",
        "verdict",
        "trained in",
    ]
    return markdown_table(head, [_row(claim) for claim in claims])


def _row(claim: MethodClaim) -> list[str]:
    value, interval = formatting.claim_value(claim)
    found = f"{markdown(claim.decides)}: {value or markdown(claim.reason) or 'not measured'}"
    said = [markdown(claim.method.upper()), markdown(claim.claim), markdown(claim.paper), found]
    seeds = formatting.claim_seeds(claim) or formatting.MISSING
    return [
        *said,
        interval or formatting.MISSING,
        seeds,
        formatting.verdict_text(claim),
        claim.precision or formatting.MISSING,
    ]
