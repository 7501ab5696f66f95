"""Put the papers' claims to the test over several seeds, in a copy of the repository. No part of the pipeline."""

import argparse
import sys
from pathlib import Path

from _stage import PARAMS, guarded, only_run

from fieldmark.base.files import write_json, write_text
from fieldmark.preflight.presets import composed, with_seeds
from fieldmark.reporting.claims import collect_claims, render_claims
from fieldmark.running.copies import COPIES, update_copy
from fieldmark.running.jobs import chosen_jobs
from fieldmark.running.pipeline import reproduce

PRESETS, REPORTS, COPY = Path("presets"), Path("reports"), "claims"


def run(seeds: list[int], arguments: list[str], copy: str, jobs: int | None) -> Path:
    """Train every method from each seed in `.copies/<copy>`; return where the results are.

    Called again, it goes on where it was stopped.
    """
    text = with_seeds(composed(PARAMS, arguments, PRESETS), seeds)
    with only_run(COPIES / copy):  # before anything in it changes under a run
        where = update_copy(Path().resolve(), copy, text)
        print(f"Running {len(seeds)} seeds in {COPIES / copy}; your params.yaml and models stay.", flush=True)
        if status := reproduce(where, jobs=chosen_jobs(jobs, where / PARAMS)):
            sys.exit(status)
    return where / REPORTS / "results"


def write(results: Path, folder: Path) -> None:
    """Write `claims.md` and `claims.json` to `folder`."""
    table = collect_claims(results)
    write_text(folder / "claims.md", render_claims(table))
    write_json(folder / "claims.json", table.model_dump(mode="json"))
    print(f"Done. The claims are in {folder / 'claims.md'}.")


def main(given: argparse.Namespace) -> None:
    results = run(given.seeds, given.arguments, given.copy, given.jobs) if given.seeds else given.results
    write(results, given.to)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seeds",
        metavar="SEED",
        type=int,
        nargs="+",
        help="train from these first; else gather what there is",
    )
    parser.add_argument("--copy", metavar="NAME", default=COPY, help="the name of the copy below .copies")
    parser.add_argument("--jobs", type=int, help="branches side by side; without it, what suits the machine")
    parser.add_argument(
        "--results",
        metavar="FOLDER",
        type=Path,
        default=REPORTS / "results",
        help="what to gather, without --seeds",
    )
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=REPORTS, help="where to write")
    parser.add_argument(
        "arguments", nargs="*", metavar="PRESET | key.path=value", help="presets, then settings"
    )
    parsed = parser.parse_intermixed_args()
    guarded(lambda: main(parsed))
