"""How many loader processes load the pictures of a process that trains or applies a network."""

import os

from fieldmark.base.processors import SIDE_BY_SIDE, processors
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.params import RuntimeParams

PER_LOADER = 8  # processors, where the network itself computes on them
MOST_ON_CPU, MOST_ON_GPU = 8, 16


def loader_workers(runtime: RuntimeParams) -> int:
    """Return `runtime.workers`, or for `auto` what suits the processors that this process has for itself.

    They are shared by the devices of a machine and by stages side by side. A GPU leaves all but one to the loader. On
    the CPU the network needs them: one loader for each eight of them loads more than they train on.
    """
    if runtime.workers != "auto":
        return runtime.workers
    own = processors() // (runtime.devices * int(os.environ.get(SIDE_BY_SIDE, "1")))
    if pick_device(runtime) == "cpu":
        return max(1, min(MOST_ON_CPU, own // PER_LOADER))
    return max(1, min(MOST_ON_GPU, own - 1))
