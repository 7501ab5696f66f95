"""A Git repository with results, for tests of reviews."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from reporting.example import write

WHO = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    """Run Git as somebody, without what the machine configures; return what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **WHO,
    }
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, branch: str | None = None) -> str:
    """Commit all files of a folder, in a new repository where there is none; return the hash."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", branch or "main")
    elif branch:
        git(folder, "checkout", "-q", "-b", branch)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "as it is")
    return git(folder, "rev-parse", "HEAD")


def write_params(folder: Path, **blocks: Any) -> None:
    """Write params.yaml; JSON is YAML as well."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps(blocks), encoding="utf-8")


def write_method(folder: Path, name: str, measures: dict[str, Any], claims: list[Any] | None = None) -> None:
    """Write the results and the metrics of a method with the variants L (fixed) and R (`measures`)."""
    variants = [{"name": "L", "measures": {"recall@1": 0.25}}, {"name": "R", "measures": measures}]
    result = {"method": name, "title": name, "split": "s", "dataset": "d", "variants": variants}
    write(
        folder / f"reports/results/{name}.json",
        {**result, "headline": ["recall@1"], "metrics": list(measures), "claims": claims or []},
    )
    values = {name: value["value"] if isinstance(value, dict) else value for name, value in measures.items()}
    write(
        folder / f"reports/metrics/{name}.json",
        {"L.recall@1": 0.25, **{f"R.{name}": value for name, value in values.items()}},
    )
