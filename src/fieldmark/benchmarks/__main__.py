"""`python -m fieldmark.benchmarks`: every benchmark, those of methods for the parameters in params.yaml, as one table.

Values are compared before any time is taken. The table is printed and written to reports/bench.md.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from fieldmark.base.files import write_text
from fieldmark.benchmarks import cprfl, frpt, irt, loading, loca, losses, pma, retrieval
from fieldmark.configuration.configuration import Configuration

METHODS = {"irt": irt, "frpt": frpt, "cprfl": cprfl, "pma": pma, "loca": loca}
VERSIONS = ("torch", "numpy", "scikit-learn", "pytorch-metric-learning", "faiss-cpu")


def main() -> None:
    """Run the benchmarks; the times are medians and minima over rounds in which the actions take turns."""
    asked = _arguments()
    configuration = Configuration.read(asked.params)
    written = [_machine()]
    print(written[0], flush=True)
    for section in _sections(configuration, asked.rows, asked.only):
        print(f"\n{section}", flush=True)
        written.append(section)
    fenced = "\n\n".join(written)
    write_text(
        asked.output, f"# Times of the hot paths\n\n`make bench` has written this.\n\n```\n{fenced}\n```\n"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument(
        "--rows", type=int, default=retrieval.ROWS, help="embeddings that retrieval is timed on"
    )
    parser.add_argument(
        "--only", nargs="+", choices=("losses", "retrieval", "loading", *METHODS), help="these alone"
    )
    parser.add_argument("--output", type=Path, default=Path("reports/bench.md"))
    return parser.parse_args()


def _sections(configuration: Configuration, rows: int, only: list[str] | None) -> Iterator[str]:
    """Yield the tables of each benchmark under its name, with the load of the machine before it."""
    benchmarks: dict[str, Callable[[Path], str]] = {
        "losses": lambda _: losses.run(),
        "retrieval": partial(retrieval.run, rows),
        "loading": partial(loading.run, configuration),
    }
    for name, benchmark in METHODS.items():
        if name in configuration.section("methods"):
            benchmarks[name] = partial(benchmark.run, configuration)
    for name, run in benchmarks.items():
        if only is None or name in only:
            load = os.getloadavg()[0]
            with tempfile.TemporaryDirectory() as folder:
                yield f"{name.upper()} (load average before: {load:.1f})\n{run(Path(folder))}"


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    threads = f"{torch.get_num_threads()} threads, {os.cpu_count()} processors, {platform.machine()}"
    return f"Python {platform.python_version()}, {versions}\n{threads}, CUDA: {torch.cuda.is_available()}"


if __name__ == "__main__":
    main()
