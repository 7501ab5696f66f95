"""What DVC needs around it: a user with a home, a cache, the sections of params.yaml, and Git or to do without."""

import getpass
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from fieldmark.base.blocks import read_yaml
from fieldmark.base.errors import UserError

FOREACH = re.compile(r"^ *foreach: \$\{(\w+)\}", re.MULTILINE)
TOLD = re.compile(r"^\s*no_scm\s*=\s*true\s*$", re.IGNORECASE | re.MULTILINE)


def require_user() -> None:
    """Raise UserError where the user has no home directory or no name, as in a container with a number for a user."""
    try:
        Path.home()
        getpass.getuser()
    except (RuntimeError, KeyError, OSError):
        raise UserError(
            "this user has no home directory or no name, which DVC looks for; set both, such as "
            "HOME=/tmp/home USER=me, a folder that may be written to and any name"
        ) from None


def require_cache(folder: Path) -> None:
    """Raise UserError where DVC cannot write to its cache: a stage's outputs would be lost when it is done."""
    config = ConfigParser(interpolation=None, strict=False)
    inside = folder.resolve() / ".dvc"
    files = [file for file in (inside / "config", inside / "config.local") if config.read(file)]
    place = config.get("cache", "dir", fallback="cache") if files else "cache"
    cache = inside / place  # a relative one is relative to the file that names it
    there = next(above for above in (cache, *cache.parents) if above.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(
            f"DVC's cache {cache} cannot be written to, so nothing that is computed could be kept; "
            "make it writable, or name another with `dvc cache dir --local FOLDER`"
        )


def require_sections(folder: Path) -> None:
    """Raise UserError where `params.yaml` lacks a section whose items `dvc.yaml` makes stages of, as an older one does.

    Files that are absent or malformed are left for DVC to name.
    """
    pipeline, params = folder / "dvc.yaml", folder / "params.yaml"
    if not pipeline.is_file() or not params.is_file():
        return
    wanted = dict.fromkeys(FOREACH.findall(pipeline.read_text(encoding="utf-8")))
    there = read_yaml(params) if wanted else {}
    missing = [name for name in wanted if name not in there]
    if missing:
        given = ", ".join(f"`{name}: {{}}`" for name in missing)
        raise UserError(f"params.yaml lacks a section that the pipeline reads; add {given} for none of these")


def do_without_git(folder: Path) -> None:
    """Set `core.no_scm` in DVC's local configuration where there is no Git repository (a ZIP download), and say so.

    Raises UserError when that cannot be written.
    """
    inside = folder.resolve()
    if not (inside / ".dvc").is_dir() or any(
        (above / ".git").exists() for above in (inside, *inside.parents)
    ):
        return
    files = (inside / ".dvc/config", inside / ".dvc/config.local")
    if any(TOLD.search(file.read_text(encoding="utf-8")) for file in files if file.is_file()):
        return
    command = [sys.executable, "-m", "dvc", "config", "--local", "core.no_scm", "true"]
    done = subprocess.run(command, cwd=inside, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UserError(
            f"{folder} is no Git repository, and DVC cannot do without: {' '.join(done.stderr.split())[:200]}"
        )
    print(
        "This folder is no Git repository: DVC does without (core.no_scm in .dvc/config.local).", flush=True
    )
