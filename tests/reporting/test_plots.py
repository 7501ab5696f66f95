"""What `dvc plots` draws: tables that join what all methods wrote, and templates that fit them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.reporting.plots import write_plots
from fieldmark.results.schema import MethodResult, VariantResult

PLOTS = {name: plot for entry in read_yaml(ROOT / "dvc.yaml")["plots"] for name, plot in entry.items()}


def result(name: str, measure: str, **details: object) -> MethodResult:
    variants = [
        VariantResult(name="first", measures={measure: {"value": 0.25, "low": 0.2, "high": 0.3}, "other": 1}),
        VariantResult(name="second", measures={measure: 0.5}),
        VariantResult(name="without", measures={"other": 2}),
    ]
    return MethodResult(
        method=name,
        title=name,
        split="s",
        dataset="d",
        variants=tuple(variants),
        headline=(measure, "other"),
        metrics=(measure,),
        details=details,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    history = tmp_path / "history"
    curves = {"pretrain-vit/vit": 4.5, "irt/R/0": 3.5, "irt/L/10": 2.0, "irt/L/9": 1.0}
    for name, loss in curves.items():
        (history / name).parent.mkdir(parents=True, exist_ok=True)
        (history / f"{name}.csv").write_text(f"step,lr,koleo,loss\n10,0.1,1,{loss}\n20,0.1,,0.25\n")
    rare, frequent = (
        {"training pictures": count, "ap": {"CPRFL": precision}} for count, precision in ((1, None), (9, 0.5))
    )
    methods = [result("irt", "recall@1"), result("cprfl", "map", categories={"owl": rare, "tree": frequent})]
    write_plots(methods, history, tmp_path / "plots")
    return tmp_path / "plots"


def test_tables_join_all_methods(folder: Path) -> None:
    variants = pd.read_csv(folder / "variants.csv")
    assert variants["method"].tolist() == ["irt: recall@1"] * 2 + ["cprfl: map"] * 2
    assert variants["value"].tolist() == [0.25, 0.5] * 2
    assert (variants["low"].tolist()[0], variants["high"].tolist()[0]) == (0.2, 0.3)
    losses = (folder / "losses.csv").read_text()
    first = [line for line in losses.splitlines() if ",10," in line]
    names = ["pretrain-vit,vit,10,4.5", "irt,L from seed 9,10,1", "irt,L from seed 10,10,2", "irt,R,10,3.5"]
    assert [line.removesuffix(".0") for line in first] == names
    assert losses.startswith("training,variant,step,loss\n")
    classes = (folder / "classes.csv").read_text()
    assert classes == "method,class,variant,ap\ncprfl,tree,CPRFL,0.5\ncprfl,owl,CPRFL,\n"


def test_without_any_result_the_heads_remain(tmp_path: Path) -> None:
    write_plots([], tmp_path / "none", tmp_path / "plots")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        Path(name).name for name in sorted(PLOTS)
    ]
    assert (tmp_path / "plots" / "losses.csv").read_text() == "training,variant,step,loss\n"


@pytest.mark.parametrize("name", PLOTS)
def test_templates_ask_for_columns_that_there_are(folder: Path, name: str) -> None:
    plot = PLOTS[name]
    columns = set(pd.read_csv(folder / Path(name).name).columns)
    template = json.loads((ROOT / f".dvc/plots/{plot['template']}.json").read_text())
    assert {plot["x"], plot["y"]} <= columns
    drawn = {value for value in fields(template) if not value.startswith("<DVC_METRIC_")}
    assert drawn <= columns | {"rev"}
    assert template["data"] == {"values": "<DVC_METRIC_DATA>"}


def fields(content: object) -> list[str]:
    """Every column that a template names."""
    if isinstance(content, list):
        return [name for item in content for name in fields(item)]
    if not isinstance(content, dict):
        return []
    own = [content["field"]] if isinstance(content.get("field"), str) else []
    return own + [name for value in content.values() for name in fields(value)]
