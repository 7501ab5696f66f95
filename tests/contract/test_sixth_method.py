"""A sixth method is one folder, one block and one item: the example of CONTRIBUTING.md, run in a clone."""

import io
import json
import shutil
from typing import Any

import pytest
from ruamel.yaml import YAML
from safetensors.torch import load_file
from support.clone import clone, command, repro
from support.pipeline import ROOT, TINY_PARAMS

from fieldmark.base.blocks import read_yaml

SIXTH = ROOT / "tests/support/sixth"
EXAMPLE = sorted(path for path in SIXTH.rglob("*") if path.suffix in (".py", ".yaml"))
MAX_LINES = 200
METHOD = "src/fieldmark/methods/proxy"
TINY: dict[str, Any] = {
    "seeds": [0, 1],
    "dim": 8,
    "images": {"side": 32},
    "train": {"steps": 3, "batch_size": 8, "images_per_class": 4, "lr": 1e-3},
}


def text_of(params: dict[str, Any]) -> str:
    stream = io.StringIO()
    YAML().dump(params, stream)
    return stream.getvalue()


def tiny_params() -> dict[str, Any]:
    """The tiny world with a backbone, and no method yet."""
    params: dict[str, Any] = YAML(typ="safe").load(TINY_PARAMS)
    kept = {name: params[name] for name in ("runtime", "datasets", "splits", "backbones")}
    empty = ("phrases", "clip_models", "prompts", "methods", "arms", "distill", "judge", "transfer")
    return {**kept, **{name: {} for name in empty}}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with the folder, the item and the block of the sixth method added, and what they need computed."""
    folder = tmp_path_factory.mktemp("project")
    params = tiny_params()
    clone(folder, text_of(params))
    shutil.copytree(SIXTH / "proxy", folder / METHOD, ignore=shutil.ignore_patterns("__pycache__"))
    added = read_yaml(SIXTH / "params.yaml")
    params["methods"].update(added["methods"])
    (folder / "params.yaml").write_text(text_of({**params, "proxy": {**added["proxy"], **TINY}}))
    changed = command(folder, "git", "status", "--porcelain").stdout.splitlines()
    ran = repro(folder, "evaluate@proxy")
    report = command(
        folder, "python", "src/stages/report.py"
    )  # without the stages of data that it shows as well
    assert report.returncode == 0, report.stderr
    return folder, changed, ran


def test_the_example_is_short():
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLE}
    assert sum(lines.values()) <= MAX_LINES, lines


def test_nothing_else_is_touched(project):
    _, changed, _ = project
    assert changed == [" M params.yaml", f"?? {METHOD}/"]


def test_it_is_trained(project):
    folder, _, ran = project
    assert {"train@proxy", "evaluate@proxy"} <= ran
    models = {
        path.parent: json.loads(path.read_text()) for path in (folder / "models/proxy").rglob("model.json")
    }
    assert {model["method"] for model in models.values()} == {"proxy"}
    steps = {
        f"{model['variant']}/{path.name}": model["params"]["train"]["steps"] for path, model in models.items()
    }
    assert steps == {"frozen/0": 0, "head/0": 3, "head/1": 3}  # the frozen backbone is made once
    assert [model["params"]["seeds"] for path, model in models.items() if path.name == "1"] == [[1]]
    for seed in (0, 1):
        curve = (folder / f"reports/history/proxy/head/{seed}.csv").read_text().splitlines()
        assert curve[0].startswith("step,lr,softmax")
        assert curve[1].startswith("3,")


def test_it_is_scored_and_has_a_claim(project):
    folder, _, _ = project
    result = json.loads((folder / "reports/results/proxy.json").read_text())
    assert [variant["name"] for variant in result["variants"]] == ["frozen", "head"]
    assert result["precision"] == "fp32"
    frozen, head = (variant["measures"]["recall@1"] for variant in result["variants"])
    assert "seeds" not in frozen
    assert head["value"] == pytest.approx(sum(head["seeds"]) / 2, abs=1e-5)
    [claim] = result["claims"]
    assert claim["value"] == pytest.approx(head["value"] - frozen["value"], abs=1e-5)
    assert claim["seeds"] == pytest.approx([one - frozen["value"] for one in head["seeds"]], abs=1e-5)
    metrics = json.loads((folder / "reports/metrics/proxy.json").read_text())
    assert set(metrics) == {"frozen.recall@1", "frozen.map@r", "head.recall@1", "head.map@r"}


def test_it_stands_in_the_report(project):
    folder, _, _ = project
    page, summary = ((folder / "reports" / name).read_text() for name in ("index.html", "summary.md"))
    for text in (page, summary):
        assert "Proxy: a linear head on a frozen backbone" in text
        assert "A head that knows the training classes beats the frozen backbone" in text
        assert "over 2 seeds" in text
    assert (folder / "reports/figures/proxy/recall.svg").exists()
    assert "Of the first of 2 seeds." in page


def test_what_inference_does_not_need_is_not_saved(project):
    folder, _, _ = project
    weights = load_file(folder / "models/proxy/variants/head/1/weights.safetensors")
    assert {"head.weight", "head.bias"} <= weights.keys()
    assert "proxies" not in weights
