"""`dvc repro` as processes of their own, followed by what each stage took."""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fieldmark.base.durations import RECORD, read_durations
from fieldmark.base.processors import SIDE_BY_SIDE, processors
from fieldmark.running.branches import Branch, planned
from fieldmark.running.durations import duration_table
from fieldmark.running.gpus import shares
from fieldmark.running.graph import read_pipeline
from fieldmark.running.orphans import wait_for_orphans
from fieldmark.running.processes import INTERRUPTED, Failed, Processes, Task, stopped_by_signals
from fieldmark.running.surroundings import do_without_git, require_cache, require_sections, require_user

# For glibc: a network frees its large tensors and asks for them again in the next batch. What goes back to the system
# in between is wiped anew, page by page: up to a quarter of the time as measured. Other systems ignore these.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**30)}
THREADS = "OMP_NUM_THREADS"
# -P: what lies beside the script is no library
DVC = (sys.executable, "-P", str(Path(__file__).with_name("dvc_process.py")))
# One `dvc repro` holds DVC's lock while it saves outputs: others wait, where they would give up after three seconds.
# It also locks what it goes through, even what is up to date: so each goes through the stages of its branch alone.
ITEMS = (*DVC, "--wait-for-lock", "repro", "--single-item")


def reproduce(folder: Path, arguments: Sequence[str] = (), jobs: int = 1) -> int:
    """Run the pipeline of `folder`, print what each stage took, and return DVC's exit status.

    Without `arguments` for `dvc repro`, up to `jobs` branches of the pipeline run side by side. The table is printed
    after a failure or an interrupt as well. It is kept nowhere: reports stay reproducible. Raises UserError where DVC
    cannot run.
    """
    require_user()
    wait_for_orphans(folder)
    do_without_git(folder)
    require_cache(folder)
    require_sections(folder)
    pipeline = read_pipeline(folder) if jobs > 1 and not arguments else None
    if pipeline and not pipeline.stale:
        print("Data and pipelines are up to date.")
        return 0
    branches = planned(pipeline) if pipeline else ()
    apart = len(branches) > 1
    with tempfile.TemporaryDirectory() as scratch:
        record, started = Path(scratch) / "durations", time.monotonic()
        environment = {**KEEP_MEMORY, **os.environ, **_own(folder), RECORD: str(record)}
        processes = Processes(folder)
        with stopped_by_signals(processes):
            if apart:
                failed = _side_by_side(branches, jobs, processes, environment)
            else:
                failed = _alone([*DVC, "repro", *arguments], processes, environment)
        table = duration_table(read_durations(record), time.monotonic() - started, side_by_side=apart)
    if table:
        print(f"\n{table}", flush=True)
    for line in failed.lines:
        print(line, file=sys.stderr)
    return failed.status


def _own(folder: Path) -> dict[str, str]:
    """Return the variables with which the stages run this interpreter and the code of `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"PATH": path, "PYTHONPATH": str(folder.resolve() / "src")}


def _alone(command: Sequence[str], processes: Processes, environment: Mapping[str, str]) -> Failed:
    """Run one command; what it says of a failure is the last that it prints."""
    return Failed(processes.run(command, environment), ())


def _side_by_side(
    branches: Sequence[Branch], jobs: int, processes: Processes, environment: Mapping[str, str]
) -> Failed:
    """Run the branches, up to `jobs` at a time; return what failed first, status 0 for nothing."""
    own, whole = _share(jobs, environment), _share(1, environment)
    tasks = [
        Task(each.name, [*ITEMS, *each.stages], each.needs, each.label, whole if each.alone else own)
        for each in branches
    ]
    places = [{**environment, **gpus} for gpus in shares(jobs)]
    return processes.run_all(tasks, places) or Failed(INTERRUPTED if processes.stopped else 0, ())


def _share(jobs: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a stage takes its share of the processors, where so many run beside it."""
    threads = environment.get(THREADS, str(max(1, processors() // jobs)))
    return {THREADS: threads, SIDE_BY_SIDE: str(jobs)}
