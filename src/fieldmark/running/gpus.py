"""Which of NVIDIA's GPUs a run sees, and which of them each of several branches side by side gets."""

import os
import re
from pathlib import Path

DEVICES = Path("/dev")  # has a file for each GPU: looked at without torch's seconds
VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs as CUDA_VISIBLE_DEVICES names them: those that it has, or all."""
    chosen = os.environ.get(VISIBLE)
    if chosen is None:
        files = [file for file in DEVICES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", file.name)]
        return tuple(str(number) for number in range(len(files)))
    named = [name.strip() for name in chosen.split(",")]
    return tuple(name for name in named if name and not name.startswith("-"))


def shares(jobs: int) -> list[dict[str, str]]:
    """Return the variables with which each of `jobs` branches sees GPUs of its own; without several GPUs, none.

    Where there are fewer GPUs than branches, they take turns.
    """
    gpus = visible_gpus()
    if len(gpus) < 2:
        return [{} for _ in range(jobs)]
    return [{VISIBLE: ",".join(gpus[slot::jobs] or gpus[slot % len(gpus) :][:1])} for slot in range(jobs)]
