"""A manifest of a million rows goes through split and validate in bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = 1_000_000
GIGABYTES = 2.0  # measured: 1.2, of which a third are libraries
SCRIPT = """
import json, os, resource, sys
from pathlib import Path

import pandas as pd

from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import read_manifest, write_manifest
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.splitting.splits import make_split

rows, path = int(sys.argv[1]), Path("manifest.parquet")


def write():
    labels = [row % (rows // 50) for row in range(rows)]
    write_manifest(pd.DataFrame({
        "id": [f"{row}.jpg" for row in range(rows)], "row": range(rows),
        "class_name": [f"{label:05d}" for label in labels], "label": labels, "group": None,
        "split": ["train" if label < rows // 100 else "test" for label in labels],
        "labels": [[]] * rows, "captions": [[]] * rows, "box": None, "mask_row": -1, "attributes": "{}",
        "width": 256, "height": 256, "sha256": [f"{row:064x}" for row in range(rows)],
    }), path)


if child := os.fork():  # what making the rows takes does not count
    assert os.waitpid(child, 0)[1] == 0
else:
    write()
    os._exit(0)
manifest = read_manifest(path)
params = SplitParams(dataset="d", kind="retrieval", by="source")
split = make_split(manifest, params)
dataset = DatasetParams.read({"source": "folder", "folder": {"path": "."}, "encoding": "raw"}, "d")
report = validate(manifest, dataset, {"s": split}, {"s": params})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([len(split), report["balance"]["classes"], peak]))
"""


@pytest.mark.slow
def test_a_million_rows_are_split_and_validated_in_bounded_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROWS)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows, classes, peak = (float(word) for word in done.stdout.strip().strip("[]").split(","))
    assert (rows, classes) == (ROWS, ROWS // 50)
    assert peak < GIGABYTES
