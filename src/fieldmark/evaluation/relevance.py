"""What the queries of a landmark benchmark should find, as rows of its database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Relevance:
    """For each query, the rows of the database of each kind, as `evaluation.landmarks` takes them."""

    easy: Sequence[Sequence[int]]
    hard: Sequence[Sequence[int]]
    junk: Sequence[Sequence[int]]

    @classmethod
    def of(
        cls,
        names: Mapping[str, Mapping[str, Sequence[str]]],
        queries: Sequence[str],
        database: Sequence[str],
    ) -> "Relevance":
        """Find rows for names: `names` has, by kind and by query, those of pictures of the database.

        Raises KeyError for a name that is not in the database, and for a query without lists.
        """
        row = {name: index for index, name in enumerate(database)}
        easy, hard, junk = (
            [[row[name] for name in names[kind][query]] for query in queries]
            for kind in ("easy", "hard", "junk")
        )
        return cls(easy, hard, junk)
