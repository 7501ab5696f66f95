"""A manifest of a million rows goes through split and validate, and as many test pictures through evaluation."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROWS = 1_000_000
GIGABYTES = 2.0  # measured: 1.2 to 1.5, of which a third are libraries
SCRIPT = """
import json, os, random, resource, sys
from pathlib import Path

import pandas as pd

from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import read_manifest, write_manifest
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.splitting.longtail import make_longtail
from fieldmark.datasets.splitting.splits import make_split

rows, options, path = int(sys.argv[1]), json.loads(sys.argv[2]), Path("manifest.parquet")
longtail = options["kind"] == "longtail"
labelled = 80  # classes of pictures that have several labels


def several():
    names = [f"{label:02d}" for label in range(labelled)]
    pareto = [1 / (1 + label) for label in range(labelled)]
    drawn = random.Random(0).choices(names, pareto, k=3 * rows)
    return [sorted(set(drawn[start : start + 3])) for start in range(0, 3 * rows, 3)]


def write():
    labels = [row % (rows // 50) for row in range(rows)]
    write_manifest(pd.DataFrame({
        "id": [f"{row}.jpg" for row in range(rows)], "row": range(rows),
        "class_name": None if longtail else [f"{label:05d}" for label in labels],
        "label": -1 if longtail else labels, "group": None,
        "split": ["train" if label < rows // 100 else "test" for label in labels],
        "labels": several() if longtail else [[]] * rows, "captions": [[]] * rows, "box": None, "mask_row": -1,
        "attributes": "{}", "width": 256, "height": 256, "sha256": [f"{row:064x}" for row in range(rows)],
    }), path)


if child := os.fork():  # what making the rows takes does not count
    assert os.waitpid(child, 0)[1] == 0
else:
    write()
    os._exit(0)
manifest = read_manifest(path)
params = SplitParams(dataset="d", **options)
split = (make_longtail if longtail else make_split)(manifest, params)
dataset = DatasetParams.read({"source": "folder", "folder": {"path": "."}, "encoding": "raw"}, "d")
report = validate(manifest, dataset, {"s": split}, {"s": params})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([split["role"].value_counts().to_dict(), report["balance"]["classes"], peak]))
"""

SCORING = """
import json, resource, sys

import numpy as np
import pandas as pd
import torch

from fieldmark.engine.task import Subset
from fieldmark.evaluation.multilabel import resampled_ap
from fieldmark.protocols import classification, multilabel

rows, classes, rng = int(sys.argv[1]), int(sys.argv[2]), np.random.default_rng(0)
names = [f"{label:03d}" for label in range(classes)]
labels = rng.integers(classes, size=rows)
logits = torch.randn(rows, classes, generator=torch.Generator().manual_seed(0))
logits[torch.arange(rows), torch.from_numpy(labels)] += 3
if sys.argv[3] == "several":
    targets = np.zeros((rows, classes), np.float32)
    targets[np.arange(rows), labels] = targets[np.arange(rows), rng.integers(classes, size=rows)] = 1
    subset = Subset(pd.DataFrame({"row": range(rows)}))
    truth = multilabel.Truth(subset, names, targets, targets.sum(axis=0), {})
    scored = multilabel.score("S", logits, torch.full((classes,), 0.9), truth)
    found = [float(scored.ap.mean()), float(resampled_ap(scored.ranks, targets, resamples=2).mean())]
    assert 0 < scored.decisions["of1"] < 1 and len(multilabel.pictures_by_rule(scored, 6)) == 6
else:
    test = Subset(pd.DataFrame({"label": labels, "class_name": [names[label] for label in labels]}))
    scored = classification.Classified(test, names, np.array([name[:2] for name in names]), logits)
    by_class = classification.detailed([scored], scored.picture_classes)
    found = [classification.measured([scored])["top1"].value, np.mean([one["value"] for one in by_class.values()])]
print(json.dumps([*found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))
"""


def printed(script: str, *arguments: object, folder: Path) -> list[Any]:
    """Run a script in a process of its own, for its peak of memory; return the list that it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "classes", "test"),
    [
        ({"kind": "retrieval", "by": "source"}, ROWS // 50, ROWS // 2),
        ({"kind": "classification", "by": "images", "test_fraction": 0.2}, ROWS // 50, ROWS // 5),
        ({"kind": "longtail", "by": "images", "imbalance": 100.0}, 80, ROWS // 2),
        ({"kind": "longtail", "by": "source", "imbalance": 1000.0}, 80, ROWS // 2),
    ],
)
def test_a_million_rows_are_split_and_validated_in_bounded_memory(
    options: dict[str, str | float], classes: int, test: int, tmp_path: Path
) -> None:
    roles, found, peak = printed(SCRIPT, ROWS, json.dumps(options), folder=tmp_path)
    assert found == classes
    assert roles["test"] == pytest.approx(test, rel=1e-3)
    if options["kind"] == "longtail":
        assert ROWS // 10 < roles["train"] + roles["val"] < ROWS - roles["test"]
    else:
        assert sum(roles.values()) == ROWS
    assert peak < GIGABYTES, peak


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "classes", "gigabytes"), [("several", 80, 4.0), ("one", 200, 3.0)])
def test_a_million_test_pictures_are_scored_in_bounded_memory(
    labels: str, classes: int, gigabytes: float, tmp_path: Path
) -> None:
    """The scores are held once in float32 (0.3 and 0.8 GB); all of them in float64 at once would take twice that."""
    first, second, peak = printed(SCORING, ROWS, classes, labels, folder=tmp_path)
    assert first == pytest.approx(second, abs=0.01)
    assert peak < gigabytes, peak
