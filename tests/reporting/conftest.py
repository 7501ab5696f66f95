"""A small but complete set of results on disk."""

from pathlib import Path

import pytest
from reporting.example import HOSTILE, method_result, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with reports/ and data/prepared/ filled."""
    write(tmp_path / "reports/results/irt.json", method_result())
    write(
        tmp_path / "reports/results/backbones/vit.json",
        {"name": HOSTILE, "arch": "tiny", "weights": None, "parameters": 1253440, "split": "base",
         "measures": {"top1": {"value": 0.71, "low": 0.66, "high": 0.75}, "recall@1": 0.4},
         "metrics": ["top1"], "notes": [HOSTILE]},
    )  # fmt: skip
    write(
        tmp_path / "reports/results/clip_models/small.json",
        {
            "name": "small",
            "measures": {"zero-shot top1": 0.4, "temperature": 14.3},
            "metrics": ["zero-shot top1"],
        },
    )
    clip = tmp_path / "reports/figures/clip_models/small"
    write(clip / "figures.json", [{"file": "b.svg", "title": "Alike"}])
    (clip / "b.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    figures = tmp_path / "reports/figures/irt"
    write(figures / "figures.json", [{"file": "a.svg", "title": HOSTILE, "caption": HOSTILE, "wide": True}])
    (figures / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><text>50% #1 & more</text></svg>')
    write(
        tmp_path / "data/prepared/birds/summary.json",
        {"pictures": 2400, "classes": 60, "rejected": 2, "duplicates": [[HOSTILE, "b.png"]]},
    )
    balance = {
        "pictures": 1200,
        "classes": 30,
        "pictures_per_class": {"least": 38, "most": 41},
        "imbalance": 1.079,
    }
    write(
        tmp_path / "reports/validation/birds.json",
        {
            "expectations": [
                {"table": "manifest", "expectation": "every id occurs once", "severity": "critical", "success": True},
                {"table": "manifest", "expectation": "no two pictures are equal", "severity": "warning",
                 "success": False, "ids": [HOSTILE], "observed": ""},
            ],
            "balance": balance,
            "splits": {"retrieval": {"test": balance, "train": balance}},
        },
    )  # fmt: skip
    write(
        tmp_path / "reports/results/phrases/birds.json",
        {
            "dataset": "birds", "split": "retrieval", "tagger": "builtin", "grammar": "NP: {<JJ>*<NN>}",
            "counts": {"pictures": 2400, "pictures_without_phrases": 3},
            "phrases_per_picture": {"least": 0, "mean": 16.77, "most": 25}, "unknown_words": 0.0097,
            "frequent": [[HOSTILE, 1493]],
            "sample": [{"id": HOSTILE, "caption": HOSTILE, "tagged": [[HOSTILE, "NN"]], "phrases": [HOSTILE]}],
        },
    )  # fmt: skip
    return tmp_path
