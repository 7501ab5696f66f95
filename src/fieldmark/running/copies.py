"""A copy of the repository to run the pipeline in, so that parameters, data, models and reports stay as they are."""

import filecmp
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.base.files import write_text
from fieldmark.running.orphans import wait_for_orphans
from fieldmark.running.surroundings import require_user

COPIES = Path(".copies")  # below the repository; neither Git nor DVC looks into it
LISTED = ".copied"  # names the files that were copied last
PARAMS = "params.yaml"
OWN = ("dvc.lock", PARAMS)  # what a copy has of its own, beside what the pipeline makes in it
MADE = "reports"  # results of the repository's own runs
NEW = "src"  # where files count that Git does not know yet
# A copy has no Git. It shares the cache, so that it takes from there what the repository has made, and the other way.
CONFIG = """\
[core]
    no_scm = true
    autostage = false
[cache]
    dir = {cache}
"""


def update_copy(root: Path, name: str, params: str) -> Path:
    """Bring the copy `name` of the repository at `root` up to date; return its folder.

    It gets the files that Git tracks as they lie in the working tree, edits included, new files below `src`, and
    `params` for its params.yaml. What was made in it before stays, so that a run in it computes what has changed.
    Raises UserError where there is no Git repository, or the user lacks a home directory or a name.
    """
    require_user()
    folder = root / COPIES / name
    wait_for_orphans(folder)
    files, before = _files(root), set(_listed(folder))
    _list(
        folder, {*before, *files}
    )  # a call that is killed meanwhile leaves nothing that the next does not know
    _remove(folder, before - set(files))
    for file in files:
        _copy(root / file, folder / file)
    _list(folder, files)
    write_text(folder / PARAMS, params)
    config = folder / ".dvc/config.local"
    if not config.exists():
        write_text(config, CONFIG.format(cache=_cache(root)))
    return folder


def _files(root: Path) -> list[str]:
    """Return the files to copy by their path from `root`, sorted."""
    tracked = _lines(root, ["git", "ls-files", "-z"])
    new = _lines(root, ["git", "ls-files", "-z", "--others", "--exclude-standard", "--", NEW])
    kept = (file for file in {*tracked, *new} if file not in OWN and Path(file).parts[0] != MADE)
    return sorted(file for file in kept if (root / file).is_file())


def _listed(folder: Path) -> list[str]:
    path = folder / LISTED
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _list(folder: Path, files: Iterable[str]) -> None:
    write_text(folder / LISTED, "".join(f"{file}\n" for file in sorted(files)))


def _remove(folder: Path, files: Iterable[str]) -> None:
    for file in files:
        (folder / file).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times unless the same is there: DVC reads again only what is newer."""
    if target.is_file() and filecmp.cmp(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _cache(root: Path) -> str:
    """Return the absolute path of the cache that DVC uses at `root`."""
    [place] = _output(root, [sys.executable, "-m", "dvc", "cache", "dir"]).splitlines()[-1:]
    return str((root / place).resolve())


def _lines(root: Path, command: list[str]) -> list[str]:
    return [line for line in _output(root, command).split("\0") if line]


def _output(root: Path, command: list[str]) -> str:
    """Return what a command prints. Raises UserError, with what it says of the error, when it fails."""
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed; a copy holds the files that Git knows") from None
    if done.returncode:
        raise UserError(f"no copy can be made here: {' '.join(done.stderr.split())}")
    return done.stdout
