"""`python -m fieldmark.benchmarks`: print every benchmark for the parameters in params.yaml."""

import argparse
import tempfile
from pathlib import Path

import torch

from fieldmark.benchmarks import cprfl, frpt, irt, loading, loca, pma
from fieldmark.configuration.configuration import Configuration

BENCHMARKS = {"irt": irt, "frpt": frpt, "cprfl": cprfl, "pma": pma, "loca": loca}


def main() -> None:
    """Run the benchmarks; the times are medians over rounds in which the actions take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    configuration = Configuration.read(parser.parse_args().params)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, CUDA: {torch.cuda.is_available()}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        print(f"LOADING\n{loading.run(configuration, Path(folder))}\n")
    for name, benchmark in BENCHMARKS.items():
        if name in configuration.section("methods"):
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name.upper()}\n{benchmark.run(configuration, Path(folder))}\n")


if __name__ == "__main__":
    main()
