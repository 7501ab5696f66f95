"""Runs a stage without room for its output and then with it: `full_disk.py PROJECT KIND ROOM STAGE OUTPUT...`.

KIND is `disk`, a file system of its own with ROOM kilobytes left (who may not mount one exits with 77), or `quota`:
no file of more than ROOM kilobytes. PROJECT is copied first. Prints as JSON what both tries said and left.
"""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NO_MOUNT = 77
BALLAST = "ballast"


def main(project: Path, kind: str, room: int, stage: str, outputs: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if kind == "disk":
            mounted(folder)
        shutil.copytree(project, folder / "project", symlinks=True)
        print(json.dumps(tried(folder / "project", kind, room * 1024, stage, outputs)))
        if kind == "disk":
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mounted(folder: Path) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(NO_MOUNT)


def tried(project: Path, kind: str, room: int, stage: str, outputs: list[str]) -> dict[str, Any]:
    before = contents(project, outputs)
    if kind == "disk":
        fill(project, room)
    first = run(project, stage, room if kind == "quota" else None)
    (project / BALLAST).unlink(missing_ok=True)
    after, rest = contents(project, outputs), half_written(project)
    states = [path.parent.parent.name for path in (project / ".resume").rglob("state.pt")]
    again = run(project, stage, None)
    return {
        "first": [first.returncode, first.stderr],
        "kept": before == after,
        "half_written": rest,
        "states": states,
        "again": [again.returncode, again.stderr],
        "made": contents(project, outputs),
    }


def fill(project: Path, room: int) -> None:
    """Leave `room` bytes on the disk."""
    left = os.statvfs(project)
    with (project / BALLAST).open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, left.f_bavail * left.f_frsize - room)


def run(project: Path, stage: str, largest: int | None) -> subprocess.CompletedProcess[str]:
    kind, _, name = stage.partition("@")
    limit: Callable[[], None] | None = None
    if largest is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))

    return subprocess.run(
        [sys.executable, f"src/stages/{kind}.py", name],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


def contents(project: Path, outputs: list[str]) -> dict[str, str]:
    """Return a digest of each file of the outputs, by its path."""
    files = [
        file
        for output in outputs
        for file in [project / output, *(project / output).rglob("*")]
        if file.is_file()
    ]
    return {
        str(file.relative_to(project)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
    }


def half_written(project: Path) -> list[str]:
    folders = [project / name for name in ("data", "models", "reports", ".resume")]
    return [str(path) for folder in folders for path in folder.rglob(".*.part*")]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
