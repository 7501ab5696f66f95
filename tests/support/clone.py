"""A clone of the repository as a newcomer has it: real dvc.yaml and code, nothing computed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from support.pipeline import ROOT

# in Git, though what lies beside them is not, or not needed
PLACEHOLDERS = ("data/text/none", "models/clip_models/none", "data/pretrained/README.md")
COPIED = ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", *PLACEHOLDERS)
AUTHOR = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
RUNNING = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


def clone(folder: Path, params: str) -> None:
    """Copy what the pipeline runs into `folder`, with these parameters, and commit it."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    for arguments in (["init", "-q"], ["add", "-A"], [*AUTHOR, "commit", "-qm", "clone"]):
        done = command(folder, "git", *arguments)
        assert done.returncode == 0, done.stderr


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone, with the clone's code and this interpreter's tools."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        arguments,
        cwd=folder,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(folder / "src"),
            "DVC_NO_ANALYTICS": "true",
            "OMP_NUM_THREADS": "1",  # tiny work: threads cost more than they bring
        },
        capture_output=True,
        text=True,
        check=False,
    )


def repro(folder: Path, *arguments: str) -> set[str]:
    """Run `dvc repro`; return the names of the stages that ran. Fails with DVC's output."""
    done = command(folder, sys.executable, "-m", "dvc", "repro", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(RUNNING.findall(done.stdout))
