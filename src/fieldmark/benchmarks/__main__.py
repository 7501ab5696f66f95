"""`python -m fieldmark.benchmarks`: print every benchmark for the parameters in params.yaml."""

import argparse
import tempfile
from pathlib import Path

import torch

from fieldmark.benchmarks import irt
from fieldmark.params import read_yaml


def main() -> None:
    """Run the benchmarks; figures are medians of rounds in which the sides take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    params = read_yaml(parser.parse_args().params)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, CUDA: {torch.cuda.is_available()}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        print(irt.run(params, Path(folder)))


if __name__ == "__main__":
    main()
