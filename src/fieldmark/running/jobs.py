"""How many branches of the pipeline run side by side."""

import sys
from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.world.render import processors
from fieldmark.runtime.params import RuntimeParams

GPUS = (
    Path("/dev/nvidiactl"),
    Path("/dev/kfd"),
)  # of NVIDIA's and AMD's drivers; looked at without torch's seconds
USUAL = 2  # small networks use one processor well and two badly; more would want more memory


def chosen_jobs(given: int | None, params: Path) -> int:
    """Return the number that is given, or the usual one for this machine and the `runtime` block of `params`.

    On GPUs one stage runs at a time: they are filled by one, and their memory is for one. Raises UserError for a
    number below one.
    """
    if given is None:
        runtime = Configuration.read(params).block("runtime", RuntimeParams)
        return min(USUAL, processors()) if runtime.devices == 1 and not _on_gpu(runtime.device) else 1
    if given < 1:
        raise UserError(f"JOBS is {given}; it is how many branches run side by side, at least 1")
    return given


def _on_gpu(device: str) -> bool:
    if device == "auto":
        return sys.platform == "darwin" or any(file.exists() for file in GPUS)
    return device != "cpu"
