"""What a method has trained, judged on another data set: on the page, in the summary and in a review."""

from pathlib import Path

from reporting.example import method_result, write
from reporting.repository import write_method, write_params

from fieldmark.reporting.build import build_report
from fieldmark.reporting.reading import read_results
from fieldmark.reporting.review import review
from fieldmark.reporting.revisions import WorkingTree
from fieldmark.reporting.snapshot import read_snapshot

PARAMS = {
    "methods": {"irt": {}},
    "transfer": {"roxford5k": {"method": "irt", "dataset": "roxford5k", "split": "roxford5k"}},
}


def judged(root: Path, name: str, mark: str) -> None:
    content = {**method_result("irt"), "dataset": name, "split": name, "title": f"IRT {mark}"}
    write(root / f"reports/results/transfer/{name}.json", content)
    write(
        root / f"reports/figures/transfer/{name}/figures.json", [{"file": "n.svg", "title": f"found {mark}"}]
    )
    (root / f"reports/figures/transfer/{name}/n.svg").write_text("<svg/>")


def test_it_has_a_section_of_its_own_after_the_methods(tmp_path: Path) -> None:
    write(tmp_path / "reports/results/irt.json", method_result("irt"))
    judged(tmp_path, "roxford5k", "here")
    judged(tmp_path, "rparis6k", "FORMER")  # params.yaml no longer names it
    results = read_results(tmp_path / "reports", tmp_path / "data/prepared", PARAMS)
    assert [result.method for result in results.methods] == ["irt", "irt on roxford5k"]
    assert [figure.entry.title for figure in results.method_figures["irt on roxford5k"]] == ["found here"]
    page, summary = build_report(tmp_path / "reports", tmp_path / "data/prepared", PARAMS)
    assert "IRT here, judged on roxford5k" in page
    assert "found here" in page
    assert "**IRT here, judged on roxford5k**, on `roxford5k` of `roxford5k`" in summary
    assert "| irt on roxford5k |" in summary
    assert "FORMER" not in page
    assert "side by side" not in page  # another split


def test_a_review_tells_the_claims_of_both_apart(tmp_path: Path) -> None:
    said = {"claim": "KoLeo helps", "paper": "p", "decides": "d", "value": 0.03, "low": 0.01, "high": 0.05}
    for side, verdict in (("old", "holds"), ("new", "does not hold")):
        folder = tmp_path / side
        write_params(folder, **PARAMS)
        write_method(folder, "irt", {"recall@1": 0.4}, [{**said, "verdict": "holds"}])
        write_method(folder, "transfer/roxford5k", {"map_medium": 0.4}, [{**said, "verdict": verdict}])
        path = folder / "reports/results/transfer/roxford5k.json"
        path.write_text(path.read_text().replace('"method": "transfer/roxford5k"', '"method": "irt"'))
    snapshot = read_snapshot(WorkingTree(tmp_path / "old", "old"))
    assert {(key.method, key.copy) for key in snapshot.claims} == {("irt", 0), ("irt on roxford5k", 0)}
    page = review(*(WorkingTree(tmp_path / side, side) for side in ("old", "new")))
    assert "irt on roxford5k" in page
