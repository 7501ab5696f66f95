"""Mid-training state, kept outside DVC's outputs and keyed by what determines the result."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fieldmark.base.files import atomic_path, sha256_file
from fieldmark.runtime.distributed import first_process

RESUME = Path(".resume")


def fingerprint(params: Any, files: Iterable[Path]) -> str:
    """Hash parameters and the content of files into one short hex key."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode())
    for path in files:
        digest.update(sha256_file(path).encode())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class StateKey:
    """What the states of a stage's runs belong to: its parameters, its input files and its code.

    `pictures` has the parameters of the data set, which say what its pictures are; `params` all others.
    """

    root: Path
    params: Any = None
    files: tuple[Path, ...] = ()
    pictures: Any = None

    def folder(self, run: str, depends: Sequence[Any] = ()) -> "CheckpointFolder":
        """Return the folder of one run; `depends` is what else its result depends on."""
        determines = [self.params, self.pictures, list(depends)]
        return CheckpointFolder(self.root, run, fingerprint(determines, self.files))

    def without_params(self) -> "StateKey":
        """Return the key of what depends on pictures, files and code, and on no parameter but those it names."""
        return replace(self, params=None)


class CheckpointFolder:
    """Where one training run keeps its latest state."""

    def __init__(self, root: Path, run: str, key: str) -> None:
        self.root, self.folder = root, root / run / key

    @property
    def path(self) -> Path:
        """The file of the latest state."""
        return self.folder / "state.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write a state; a process that is killed meanwhile leaves the previous state."""
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self) -> dict[str, Any] | None:
        """Return the latest state on the CPU, or None when there is none that can be used; says why it is not."""
        if not self.path.exists():
            if others := sorted(self.folder.parent.glob("*/state.pt")):
                self._say(f"{others[-1]} is of other parameters, data or code")
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, UnpicklingError, KeyError):
            self._say(f"{self.path} is damaged")
            return None
        return state

    def _say(self, reason: str) -> None:
        if first_process():
            run = self.folder.parent.relative_to(self.root)
            print(f"{run}: the state {reason}: it is not used, training begins anew", file=sys.stderr)

    def clear(self) -> None:
        """Delete every state of this run, those of other fingerprints too, and the folders that are then empty."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        for above in self.folder.parent.parents:
            if above == self.root:  # stages that run side by side share it
                break
            with suppress(OSError):  # another run has a state there
                above.rmdir()
