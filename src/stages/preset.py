"""Apply presets and single values to params.yaml, after checking the result. This is no part of the pipeline."""

import argparse
from pathlib import Path

from _stage import PARAMS, guarded

from fieldmark.base.blocks import parse_yaml
from fieldmark.base.files import atomic_path
from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.check import check_params
from fieldmark.preflight.costs import RESTS_ON, cost_of
from fieldmark.preflight.presets import composed, list_presets, with_presets

PRESETS = Path("presets")
ROW = "{:<22}{:<16}{:<9}{:<11}{}"


def main(arguments: list[str]) -> None:
    """Apply `[NAME ...] [key.path=value ...]`; params.yaml is written only if all of the result is right."""
    text = composed(PARAMS, arguments, PRESETS)
    with atomic_path(PARAMS) as temporary:
        temporary.write_text(text, encoding="utf-8")
        check_params(Configuration.read(temporary))


def show() -> None:
    """Print every preset with its data, disk and GPU hours, and what it is."""
    text = PARAMS.read_text(encoding="utf-8")
    print(ROW.format("preset", "data", "disk", "GPU hours", "what it is"))
    for name, title in list_presets(PRESETS).items():
        laid = parse_yaml(with_presets(text, [name], PRESETS), f"preset {name}")
        print(ROW.format(name, *cost_of(Configuration(laid)).texts, title))
    print(f"\n{RESTS_ON}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "arguments", nargs="*", metavar="NAME | key.path=value", help="presets, then settings"
    )
    parser.add_argument("--list", action="store_true", help="list the presets")
    given = parser.parse_args()
    guarded(show if given.list or not given.arguments else lambda: main(given.arguments))
