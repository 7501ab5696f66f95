"""Write the backbones and CLIPs that params.yaml trains to data/pretrained, and where they come from."""

import argparse
from pathlib import Path

from _stage import PARAMS, guarded
from _task import MODELS, WEIGHTS

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.engine.loop import LIVE
from fieldmark.reporting.revisions import Commit
from fieldmark.towers.clip import WEIGHTS as CLIP_WEIGHTS
from fieldmark.weights.publish import Trained, publish, read_metrics, read_seconds

PRETRAINED, METRICS = Path("data/pretrained"), Path("reports/metrics")
# By section: the stage that trains, its file of weights, and what the names of its tensors begin with.
KINDS = {
    "backbones": ("pretrain", WEIGHTS, "network."),
    "clip_models": ("clip", CLIP_WEIGHTS, ""),
}


def main(names: list[str]) -> None:
    configuration, revision = Configuration.read(PARAMS), Commit.named(Path(), "HEAD").commit
    known = [f"{section}/{name}" for section in KINDS for name in configuration.section(section)]
    for name in names or known:
        if name not in known:
            raise UserError(f"params.yaml has no '{name}'; it has: {', '.join(known) or 'none'}")
        path = publish(trained(name, configuration), PRETRAINED, revision)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def trained(what: str, configuration: Configuration) -> Trained:
    """Return what is known of a network such as backbones/vit. Raises UserError when params.yaml does not train it."""
    section, _, name = what.partition("/")
    stage, weights, prefix = KINDS[section]
    item = configuration.raw_item(section, name)
    if not item.get("train"):
        raise UserError(
            f"{section}.{name} has no train block: there is nothing to publish; use PRESET=world-pretrain"
        )
    return Trained(
        name=name,
        weights=MODELS / section / name / weights,
        prefix=prefix,
        recipe={
            section: {name: item},
            "datasets": {item["dataset"]: configuration.raw_item("datasets", item["dataset"])},
            "splits": {item["split"]: configuration.raw_item("splits", item["split"])},
        },
        metrics=read_metrics(METRICS / section / f"{name}.json"),
        seconds=read_seconds(LIVE / f"{stage}-{name}"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="such as backbones/vit or clip_models/small; none: all of them"
    )
    arguments = parser.parse_args()
    guarded(lambda: main(arguments.names))
