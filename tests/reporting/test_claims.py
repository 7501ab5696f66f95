"""The table of all claims: what is kept of each, on a page, in a file, and in the README."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from reporting.example import HOSTILE, method_result, write

from fieldmark.base.errors import UserError
from fieldmark.reporting.claims import claims_table, collect_claims, read_claims, render_claims

STAGES = Path(__file__).parents[2] / "src/stages"
README = "# T\n<!-- numbers:begin -->\nold\n<!-- numbers:end -->\n<!-- claims:begin -->\nold\n<!-- claims:end -->\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two methods: one with two seeds and a claim that cannot be tested, one with a single seed."""
    several = {**method_result("irt"), "precision": "bf16"}
    several["claims"][0]["seeds"] = [0.02, 0.05]
    several["claims"][2] |= {"verdict": "not testable here", "reason": f"One model {HOSTILE}"}
    write(tmp_path / "reports/results/irt.json", several)
    write(tmp_path / "reports/results/frpt.json", method_result("frpt"))
    write(tmp_path / "reports/results/backbones/vit.json", {"name": "vit"})
    (tmp_path / "params.yaml").write_text("methods: {irt: {}}\n")
    return tmp_path / "reports/results"


def test_claims_are_sorted_by_method_and_keep_their_order(results: Path) -> None:
    table = collect_claims(results)
    assert [claim.method for claim in table.claims] == ["frpt"] * 3 + ["irt"] * 3
    assert [claim.verdict for claim in table.claims[3:]] == ["holds", "does not hold", "not testable here"]
    assert table.claims[3].seeds == (0.02, 0.05)
    assert {claim.precision for claim in table.claims} == {"", "bf16"}


def test_the_page_has_numbers_seeds_verdicts_and_reasons(results: Path) -> None:
    page = render_claims(collect_claims(results))
    assert "1 not testable here" in page
    [row] = [line for line in page.splitlines() if "over 2 seeds" in line]
    assert row.endswith("+3.5 points | +1.2 to +5.8 | +2.0, +5.0 | ✓ holds over 2 seeds | bf16 |")
    assert "74.2 to 74.7" in row
    [single] = [line for line in page.splitlines() if "FRPT" in line and "✓" in line]
    assert single.endswith("| +1.2 to +5.8 | – | ✓ holds in this run | – |")
    assert "One model" in page
    assert "<script" not in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {9}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    script, *arguments = command
    return subprocess.run(
        [sys.executable, str(STAGES / script), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stage_writes_the_same_bytes_and_the_readme_takes_the_table(results: Path) -> None:
    root = results.parents[1]
    (root / "README.md").write_text(README)
    assert run(root, "report.py", "--readme").returncode == 0
    assert "<!-- claims:begin -->\nold\n" in (root / "README.md").read_text()  # there is no table yet
    contents = []
    for _ in range(2):
        done = run(root, "claims.py", "--results", "reports/results", "--to", "reports")
        assert done.returncode == 0, done.stderr
        contents.append([(root / "reports" / name).read_bytes() for name in ("claims.md", "claims.json")])
    assert contents[0] == contents[1]
    table = read_claims(root / "reports/claims.json")
    assert table == collect_claims(results)
    assert json.loads(contents[0][1])["claims"][3]["seeds"] == [0.02, 0.05]
    assert run(root, "report.py", "--readme").returncode == 0
    assert (
        f"<!-- claims:begin -->\n{claims_table(table.claims)}\n<!-- claims:end -->"
        in (root / "README.md").read_text()
    )


def test_without_results_it_says_so_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no results; run `make repro` first"):
        collect_claims(tmp_path)
    done = run(tmp_path, "claims.py", "--results", "elsewhere")
    assert done.returncode == 1
    assert (
        done.stderr == "error: elsewhere holds no results; run `make repro` first, or name another folder\n"
    )
