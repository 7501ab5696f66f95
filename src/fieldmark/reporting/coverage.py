"""What the papers describe, how to ask for it here, or why not: `reports/coverage.md` from the tables in `papers`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from fieldmark.base.blocks import Block, read_yaml
from fieldmark.reporting.formatting import markdown, markdown_table

State = Literal["here", "in part", "missing", "left out"]
DEFAULT = "the default run"
HEAD = """\
# What the papers describe, and how to ask for it here

Written by `make coverage` from the tables in `papers`; what is named there exists, or a test fails. Names are presets,
`make repro PRESET=irt-cub200`, and the rest settings, `make repro SET='irt.lambda=0.7'`. *In part* and *left out* say
why. What an equation of a paper became is held by tests beside the method, in `tests/methods`."""


class Row(Block):
    """One thing that a paper describes: `where` in it, what to `ask` for here, and `why` it is not all there.

    `ask` has presets and settings as `make repro` takes them; empty, the default run has it.
    """

    what: str = Field(min_length=1)
    where: str = Field(min_length=1)
    ask: str | None = None
    state: State = "here"
    why: str = ""

    @model_validator(mode="after")
    def _told(self) -> "Row":
        if self.state != "here" and not self.why:
            raise ValueError(f"say why '{self.what}' is {self.state}")
        if (self.ask is None) != (self.state in ("missing", "left out")):
            raise ValueError(f"say how to ask for '{self.what}', unless it is missing or left out")
        return self


class Paper(Block):
    """All rows of one paper; the file has the name of its method."""

    title: str
    rows: tuple[Row, ...] = Field(min_length=1)


def read_papers(folder: Path) -> dict[str, Paper]:
    """Return the tables of `folder` by method. Raises UserError naming the file and the row that is wrong."""
    paths = sorted(folder.glob("*.yaml"))
    return {path.stem: Paper.read(read_yaml(path), str(path)) for path in paths}


def render_coverage(papers: Sequence[Paper]) -> str:
    """Return the page: how much there is, then a table for each paper."""
    rows = [[paper.title, *_counts(paper)] for paper in papers]
    total = [str(sum(int(row[place]) for row in rows)) for place in range(1, 6)]
    head = ["paper", "rows", "here", "in part", "missing", "left out"]
    parts = [HEAD, markdown_table(head, [*rows, ["all", *total]])]
    for paper in papers:
        parts += [f"## {paper.title}", _table(paper)]
    return "\n\n".join(parts) + "\n"


def _counts(paper: Paper) -> list[str]:
    tally = Counter(row.state for row in paper.rows)
    states: tuple[State, ...] = ("here", "in part", "missing", "left out")
    return [str(len(paper.rows)), *(str(tally[state]) for state in states)]


def _table(paper: Paper) -> str:
    head = ["it describes", "where", "how to ask for it", "state", "why, or what to know"]
    body = [
        [markdown(row.what), markdown(row.where), _ask(row), row.state, markdown(row.why)]
        for row in paper.rows
    ]
    return markdown_table(head, body)


def _ask(row: Row) -> str:
    if row.ask is None:
        return "–"
    return " ".join(f"`{part}`" for part in row.ask.split()) or DEFAULT
