"""The files of a revision: those of a commit, read through Git, or those of the working tree."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from fieldmark.base.errors import UserError

OBJECT_NAME = re.compile(r"[0-9a-f]{40,64}")
SHORT = 7


class Revision(Protocol):
    """Files by their path from the project's root."""

    @property
    def title(self) -> str:
        """How a page names it."""

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted; none where there is no such folder."""

    def read(self, file: str) -> bytes:
        """Return the content of a file. Raises UserError when it is absent."""

    def where(self, file: str) -> str:
        """Return how an error names a file."""


@dataclass(frozen=True)
class WorkingTree:
    """The files as they lie in the folder `root`, whether Git knows them or not."""

    root: Path
    title: str = "the working tree"

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted."""
        paths = sorted((self.root / folder).rglob("*"))
        return [path.relative_to(self.root).as_posix() for path in paths if path.is_file()]

    def read(self, file: str) -> bytes:
        """Return the content of a file. Raises UserError when it is absent."""
        path = self.root / file
        if not path.is_file():
            raise UserError(f"{file} does not exist; run from the repository root")
        return path.read_bytes()

    def where(self, file: str) -> str:
        """Return how an error names a file."""
        return file


@dataclass(frozen=True)
class Commit:
    """The files of a commit; `root` is the project's folder, which may lie below the repository's."""

    root: Path
    name: str
    commit: str

    @classmethod
    def named(cls, root: Path, name: str) -> Self:
        """Return the commit that a branch, tag or hash names. Raises UserError when there is none, or no repository."""
        opened = _git(root, "rev-parse", "--git-dir")
        if opened.returncode:
            raise UserError(f"there is no Git repository here to read revisions from ({_said(opened)})")
        asked = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        commit = asked.stdout.decode().strip()
        if asked.returncode or not OBJECT_NAME.fullmatch(commit):
            raise UserError(
                f"there is no revision {name!r} here; name a branch, a tag or a commit, such as main"
            )
        return cls(root, name, commit)

    @property
    def title(self) -> str:
        """The name that was asked for, and its commit."""
        short = self.commit[:SHORT]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted."""
        listed = self._output("ls-tree", "-r", "-z", "--name-only", self.commit, "--", folder)
        return sorted(file for file in listed.decode("utf-8", "replace").split("\0") if file)

    def read(self, file: str) -> bytes:
        """Return the content of a file. Raises UserError when it is absent."""
        return self._output("show", "--no-textconv", "--end-of-options", f"{self.commit}:./{file}")

    def where(self, file: str) -> str:
        """Return how an error names a file."""
        return f"{self.name}:{file}"

    def _output(self, *arguments: str) -> bytes:
        done = _git(self.root, *arguments)
        if done.returncode:
            raise UserError(f"{self.name} cannot be read: {_said(done)}")
        return done.stdout


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("git")
    if program is None:
        raise UserError("git is not installed; revisions are read through it")
    command = [program, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, check=False)  # noqa: S603 (a list, no shell)


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what Git wrote of an error, on one line."""
    return " ".join(done.stderr.decode("utf-8", "replace").split())
