"""The report in Markdown: a summary for a pull request, and the block of numbers in the README."""

from collections import Counter
from collections.abc import Iterable, Sequence

from fieldmark.base.errors import UserError
from fieldmark.reporting import formatting
from fieldmark.reporting.comparison import comparisons
from fieldmark.reporting.formatting import VERDICTS, markdown, markdown_table
from fieldmark.reporting.page import CellView, fingerprint, measure_table
from fieldmark.reporting.published import BesideView, beside
from fieldmark.reporting.reading import Results
from fieldmark.results.schema import Claim, MethodResult

NUMBERS = "numbers"  # what a pair of markers in the README holds


def render_summary(results: Results) -> str:
    """Return a short summary: headline numbers of every method, then the claims and their verdicts."""
    note = [f"**{markdown(results.note)}**"] if results.note else []
    parts = ["# Results", *note, *_method_parts(results)]
    rows = [(result, claim) for result in results.methods for claim in result.claims]
    if rows:
        tally = Counter[str](claim.verdict for _, claim in rows)
        counted = ", ".join(f"{count} {name}" for name in VERDICTS if (count := tally[name]))
        parts += ["## Claims of the papers", f"{counted[0].upper()}{counted[1:]}.", _claims(rows)]
    parts.append(
        "Values are in per cent unless whole numbers; 95 % intervals come from resampling test classes, or "
        "test pictures where a note says so. "
        f"Parameters `{fingerprint(results.params)}`. The full report is `reports/index.html`."
    )
    return "\n\n".join(parts) + "\n"


def readme_block(methods: Sequence[MethodResult]) -> str:
    """Return a line per method, for `update_readme`: its first measure of every variant, and how its claims fared."""
    if not methods:
        return _nothing([])
    tallies = [Counter(VERDICTS[claim.verdict][0] for claim in result.claims) for result in methods]
    rows = [
        [*_first_measure(result), *(str(tally[icon]) for icon, _ in VERDICTS.values())]
        for result, tally in zip(methods, tallies, strict=True)
    ]
    head = ["method", "measure", "variants", *(f"{icon} {name}" for name, (icon, _) in VERDICTS.items())]
    return markdown_table(head, rows)


def update_readme(readme: str, block: str, what: str = NUMBERS) -> str:
    """Return the README with `block` between the markers of `what`. Raises UserError when a marker is missing."""
    first, last = f"<!-- {what}:begin -->", f"<!-- {what}:end -->"
    before, begin, rest = readme.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise UserError(f"README.md must hold {first} and, after it, {last}: the {what} go between them")
    return f"{before}{first}\n{block}\n{last}{after}"


def _method_parts(results: Results) -> Iterable[str]:
    present = {result.method for result in results.methods}
    for result in results.methods:
        yield _headline(result)
        if rows := beside(result, results.published.get(result.method, ())):
            yield _beside(rows)
        if result.notes:
            yield "\n".join(f"- {markdown(note)}" for note in result.notes)
    yield from map(_headline, comparisons(results.methods))
    missing = [name for name in results.expected if name not in present]
    if missing or not results.methods:
        yield _nothing(missing)


def _nothing(missing: Sequence[str]) -> str:
    names = ", ".join(markdown(name) for name in missing)
    return f"Not evaluated yet: {names}." if names else "No method has been evaluated yet."


def _first_measure(result: MethodResult) -> tuple[str, str, str]:
    """Return a method, what its first column holds, and that column in one line, the best in bold."""
    table = measure_table(result, result.headline[:1])
    [(name, unit)] = table.columns
    values = ((variant, f"**{cell.text}**" if cell.best else cell.text) for variant, _, [cell] in table.rows)
    shown = " · ".join(f"{markdown(variant)} {text}" for variant, text in values)
    return markdown(result.method.upper()), markdown(f"{name}, {unit}" if unit else name), shown


def _headline(result: MethodResult) -> str:
    table = measure_table(result, result.headline)
    head = ["variant", *(f"{name}, {unit}" if unit else name for name, unit in table.columns)]
    rows = [
        [f"{name}: {title}" if title else name, *(_cell(cell) for cell in cells)]
        for name, title, cells in table.rows
    ]
    seen = ", cut to boxes" if result.region == "box" else ""
    where = f"on `{result.split}` of `{result.dataset}`{seen}".replace("|", "")
    escaped = [[markdown(row[0]), *row[1:]] for row in rows]
    return f"**{markdown(result.title)}**, {where}\n\n{markdown_table([markdown(name) for name in head], escaped)}"


def _beside(rows: Sequence[BesideView]) -> str:
    head = ["variant", "measure", "in the paper", "here", "apart"]
    marks = {True: "✓ ", False: "✗ ", None: ""}
    body = [
        [
            markdown(row.variant),
            markdown(row.measure),
            f"{row.paper} ({markdown(row.table)})",
            row.here,
            f"{marks[row.good]}{row.verdict}",
        ]
        for row in rows
    ]
    return markdown_table(head, body)


def _cell(cell: CellView) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def _claims(rows: Sequence[tuple[MethodResult, Claim]]) -> str:
    head = ["method", "claim", "the paper reports", "here", "verdict"]
    body = [
        [
            markdown(result.method),
            markdown(claim.claim),
            markdown(claim.paper),
            f"{markdown(claim.decides)}: {_value(claim)}",
            formatting.verdict_text(claim),
        ]
        for result, claim in rows
    ]
    return markdown_table(head, body)


def _value(claim: Claim) -> str:
    if claim.reason:
        return markdown(claim.reason)
    value, interval = formatting.claim_value(claim)
    by_seed = f"; by seed {formatting.claim_seeds(claim)}" if claim.seeds else ""
    return f"{value}, 95 % interval {interval}{by_seed}" if interval else value or "not measured"
