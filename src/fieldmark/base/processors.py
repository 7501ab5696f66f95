"""How many processors a process may use: what its affinity and the quota of its control group leave it."""

import os
from math import ceil
from pathlib import Path

SIDE_BY_SIDE = "FIELDMARK_SIDE_BY_SIDE"  # variable: how many stages share the processors
GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def processors() -> int:
    """Return how many processors this process may use, at least 1.

    A container or a job of Slurm sees all processors of the machine and may have a quota of time on a few: then it
    is the quota, rounded up.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return there if quota is None else max(1, min(there, ceil(quota)))


def _quota() -> float | None:
    """Return the smallest quota of the groups that this process is in, in processors; None without one."""
    quotas = [quota for folder in _folders() if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def _folders() -> list[Path]:
    """Return the folders of the process's groups and of all above them, of version 2 and of version 1 (cpu)."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = GROUPS / controllers
        inner = root / path.lstrip("/")
        found += [folder for folder in (inner, *inner.parents) if folder.is_relative_to(root)]
    return found


def _quota_of(folder: Path) -> float | None:
    """Return the quota of one group: `cpu.max` (version 2) or `cpu.cfs_quota_us` (version 1)."""
    try:
        if (both := folder / "cpu.max").exists():
            quota, period = both.read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # a system that has none of it
        return None
