"""The content of results files, with hostile names in it."""

import json
from pathlib import Path
from typing import Any

HOSTILE = "<script>alert('x')</script> | `rm` & \"co\" $x_{$ {{ 7*7 }}"
PARAMS = {"methods": {"irt": {}, "frpt": {}}, "irt": {"lambda": 0.7}, "runtime": {"device": "auto"}}


def method_result(method: str = "irt") -> dict[str, Any]:
    """Return the content of a method's results file: two variants, the paper's first, one claim of each verdict."""
    claim = {"claim": f"KoLeo helps {HOSTILE}", "paper": "74.2 to 74.7", "decides": "recall@1 of R minus L"}
    return {
        "method": method,
        "title": f"IRT {HOSTILE}",
        "split": "retrieval",
        "dataset": "birds",
        "variants": [
            {
                "name": "R",
                "title": HOSTILE,
                "measures": {"recall@1": {"value": 0.655, "low": 0.64, "high": 0.67}, "components_90": 31},
            },
            {
                "name": "L",
                "title": "contrastive",
                "measures": {
                    "recall@1": {"value": 0.62, "low": 0.6, "high": 0.64},
                    "components_90": 12,
                    "map": 0.31,
                },
            },
        ],
        "headline": ["recall@1", "components_90"],
        "metrics": ["recall@1"],
        "claims": [
            {**claim, "value": 0.035, "low": 0.012, "high": 0.058, "verdict": "holds"},
            {**claim, "value": -3, "low": -4.5, "high": -1.5, "verdict": "does not hold"},
            {**claim, "verdict": "undecided"},
        ],
        "counts": {"queries": 1200, "imbalance": 44.285714, "position chance": "1 in 36"},
        "parameters": {"lambda": 0.7, "train": {"steps": 300, "name": HOSTILE}},
        "details": {"per class": {HOSTILE: 0.5}},
        "notes": [f"A note {HOSTILE}"],
    }


def write(path: Path, value: Any) -> None:
    """Write JSON, making folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
