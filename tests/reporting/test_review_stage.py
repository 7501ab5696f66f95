"""`src/stages/review.py` as a user runs it, on two commits."""

import subprocess
import sys

import pytest
from reporting.example import write
from reporting.repository import commit, write_method, write_params
from support.pipeline import ROOT

STAGE = ROOT / "src/stages/review.py"
HOLDS = {"claim": "KoLeo helps", "paper": "74.2 to 74.7", "decides": "R minus L",
         "value": 0.03, "low": 0.01, "high": 0.05, "verdict": "holds"}  # fmt: skip


def run(folder, *arguments):
    command = [sys.executable, str(STAGE), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path):
    """Branch `main`, branch `low` with another parameter and its results, and a change that is in no commit."""
    folder = tmp_path / "clone"
    write_params(folder, methods={"irt": {}}, irt={"lambda": 0.7})
    write_method(folder, "irt", {"recall@1": {"value": 0.4, "low": 0.35, "high": 0.45}}, [HOLDS])
    commit(folder)
    write_params(folder, methods={"irt": {}}, irt={"lambda": 0.3})
    undecided = {**HOLDS, "value": 0.01, "low": -0.02, "verdict": "undecided"}
    write_method(folder, "irt", {"recall@1": {"value": 0.5, "low": 0.46, "high": 0.55}}, [undecided])
    commit(folder, "low")
    write_params(folder, methods={"irt": {}}, irt={"lambda": 0.1})
    return folder


PAGE = """\
## What changed from main ({main}) to {head}

### Claims: 1 changed

| method | claim | decided by | old verdict | new verdict |
| --- | --- | --- | --- | --- |
| irt | KoLeo helps | R minus L | ✓ holds in this run: +3.0 points (+1.0 to +5.0) | \
? undecided in this run: +1.0 points (−2.0 to +5.0) |

### Headline measures: 1 changed

| results | measure | old | new | difference | within the interval |
| --- | --- | --- | --- | --- | --- |
| irt | R.recall@1 | 40.0 % (35.0 – 45.0) | 50.0 % (46.0 – 55.0) | +10.0 points | no |

Within the interval: the new value lies in the 95 % interval of the old one, or the old value in that of the new one.

### Parameters: 1 changed

| parameter | old | new |
| --- | --- | --- |
| irt.lambda | 0.7 | {new} |
"""


def short(folder, name):
    return subprocess.run(
        ["git", "rev-parse", name], cwd=folder, capture_output=True, text=True, check=True
    ).stdout[:7]


def test_the_page_of_the_working_tree_is_printed(repository):
    done = run(repository, "main")
    assert done.returncode == 0, done.stderr
    assert done.stdout == PAGE.format(main=short(repository, "main"), head="the working tree", new="0.1")


def test_the_page_of_another_revision_is_written_to_a_file(repository, tmp_path):
    done = run(repository, "--head", "low", "--output", str(tmp_path / "page.md"), "--", "main")
    assert (done.returncode, done.stdout) == (0, "")
    expected = PAGE.format(
        main=short(repository, "main"), head=f"low ({short(repository, 'low')})", new="0.3"
    )
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == expected


def test_a_revision_beside_itself_gives_one_line(repository):
    done = run(repository, "low", "--head", "HEAD")
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("Nothing changed from low")


def test_a_base_of_the_old_layout_gives_a_page(repository):
    for file in repository.rglob("reports/**/*.json"):
        file.unlink()
    write(repository / "reports/metrics/irt.json", {"method": "irt", "variants": {"R": {"recall@1": 0.4}}})
    commit(repository, "old")
    done = run(repository, "old", "--head", "main")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("No results in this layout in old") == 1


@pytest.mark.parametrize("base", ["no-such-branch", "--output=hacked", "main..low", ""])
def test_what_is_no_revision_is_one_line(repository, base):
    for arguments in (["--", base], ["--head=" + base, "main"]):
        done = run(repository, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: there is no revision {base!r}")
        assert len(done.stderr.splitlines()) == 1
    assert not (repository / "hacked").exists()


def test_outside_of_a_repository_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write_params(tmp_path, irt={})
    done = run(tmp_path, "main")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no Git repository here")
    assert len(done.stderr.splitlines()) == 1


def test_make_review_calls_it_with_the_base():
    listed = subprocess.run(
        ["make", "--dry-run", "--silent", "review", "BASE=v1", "ARGS=--head=v2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.splitlines()[-1] == ".venv/bin/python src/stages/review.py --head=v2 -- 'v1'"
