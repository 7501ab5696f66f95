"""How many branches of the pipeline run side by side."""

import sys
from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.base.processors import processors
from fieldmark.configuration.configuration import Configuration
from fieldmark.running.gpus import visible_gpus
from fieldmark.runtime.params import RuntimeParams

GPUS = (
    Path("/dev/nvidiactl"),
    Path("/dev/kfd"),
)  # of NVIDIA's and AMD's drivers; looked at without torch's seconds
USUAL = 2  # small networks use one processor well and two badly; more would want more memory


def chosen_jobs(given: int | None, params: Path) -> int:
    """Return the number that is given, or the usual one for this machine and the `runtime` block of `params`.

    A GPU runs one stage at a time: it is filled by one, and its memory is for one. Of several GPUs each runs one.
    Raises UserError for a number below one.
    """
    if given is None:
        runtime = Configuration.read(params).block("runtime", RuntimeParams)
        if runtime.devices * runtime.nodes > 1:
            return 1
        return max(1, len(visible_gpus())) if _on_gpu(runtime.device) else min(USUAL, processors())
    if given < 1:
        raise UserError(f"JOBS is {given}; it is how many branches run side by side, at least 1")
    return given


def _on_gpu(device: str) -> bool:
    if device == "auto":
        return sys.platform == "darwin" or any(file.exists() for file in GPUS)
    return device != "cpu"
