"""Run the pipeline with presets and single values in a copy of the repository. This is no part of the pipeline."""

import argparse
import sys
from pathlib import Path

from _stage import PARAMS, guarded, only_run

from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.presets import composed
from fieldmark.running.copies import COPIES, update_copy
from fieldmark.running.jobs import chosen_jobs
from fieldmark.running.pipeline import reproduce

PRESETS = Path("presets")


def main(name: str, arguments: list[str], jobs: int | None) -> None:
    """Run in `.copies/<name>`, and say where the report is. Called again, it goes on and runs what has changed."""
    text = composed(PARAMS, arguments, PRESETS)
    with only_run(COPIES / name):  # before anything in it changes under a run
        update_copy(Path().resolve(), name, text)
        print(
            f"Running in {COPIES / name}: your params.yaml, data, models and reports stay as they are.",
            flush=True,
        )
        status = reproduce(COPIES / name, jobs=chosen_jobs(jobs, COPIES / name / PARAMS))
    if status == 0:
        say_where(COPIES / name)
    sys.exit(status)


def say_where(folder: Path) -> None:
    """Print where the report is, and the note of the parameters."""
    print(f"Done. Open {folder / 'reports/index.html'} in a browser.")
    if note := Configuration.read(folder / PARAMS).note():
        print(note)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the name of the copy, a folder below .copies")
    parser.add_argument(
        "arguments", nargs="*", metavar="PRESET | key.path=value", help="presets, then settings"
    )
    parser.add_argument("--jobs", type=int, help="branches side by side; without it, what suits the machine")
    given = parser.parse_intermixed_args()
    guarded(lambda: main(given.name, given.arguments, given.jobs))
