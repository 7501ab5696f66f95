"""Retrieval measures beside pytorch-metric-learning's, and a gallery of a million rows that lies in a file.

Each contender runs in a process of its own, so that its peak memory is its own.
"""

import os
import re
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fieldmark.benchmarks.timing import table
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.retrieval import retrieval_metrics

ROWS, CLASSES, DIM = 60502, 11316, 384  # test pictures and classes of Stanford Online Products; DeiT-S
NOISE = 2.5  # of a row around its class: most nearest rows are of another class
ALIKE = 4000  # rows on which the measures are compared before any time
GALLERY, ASKED, NARROW = 1_000_000, 1000, 64
ROUNDS = 3
Measures = dict[str, float]
Result = TypeVar("Result")


def run(rows: int, folder: Path) -> str:
    """Return the tables for `rows` embeddings in as many classes as such a part of Stanford Online Products has."""
    kernels = _choose_kernels()
    _assert_equal(min(rows, ALIKE))
    contenders = {
        "AccuracyCalculator (faiss)": _theirs,
        "retrieval_metrics, full=False": _first,
        "retrieval_metrics, map as well": _ours,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    memory: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            took, held = _apart(contender, _example, rows)
            seconds[name].append(took)
            memory[name].append(held)
    compared = table(f"Retrieval measures, {rows} x {DIM}", seconds, rows, "query")
    lines = [f"  {name:34s} peak {max(held):6.0f} MB beyond the embeddings" for name, held in memory.items()]
    return "\n".join(
        [compared, *lines, f"  faiss multiplies as on {kernels}", "", _mapped(folder / "gallery.npy")]
    )


def _assert_equal(rows: int) -> None:
    example = _example(rows)
    whole, ours, theirs = _ours(*example), _first(*example), _theirs(*example)
    if {**whole, **ours} != whole:
        raise AssertionError(f"{ours} without map, {whole} with it")
    names = {
        "recall@1": "precision_at_1",
        "map@r": "mean_average_precision_at_r",
        "r_precision": "r_precision",
    }
    for name, other in names.items():
        if abs(ours[name] - theirs[other]) > 1e-6:
            raise AssertionError(f"{name}: {ours[name]} here, {theirs[other]} by pytorch-metric-learning")


def _example(rows: int) -> tuple[Array, Array]:
    """Return embeddings (N, D) of unit length around the centre of each class, without ties, and labels (N,)."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % max(rows * CLASSES // ROWS, 1)
    centres = generator.standard_normal((labels.max() + 1, DIM), np.float32)
    embeddings = centres[labels] + NOISE * generator.standard_normal((rows, DIM), np.float32)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), labels


def _ours(embeddings: Array, labels: Array) -> Measures:
    return retrieval_metrics(torch.from_numpy(embeddings), labels, ks=(1,))


def _first(embeddings: Array, labels: Array) -> Measures:
    return retrieval_metrics(torch.from_numpy(embeddings), labels, ks=(1,), full=False)


def _theirs(embeddings: Array, labels: Array) -> Measures:
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    measures = ("precision_at_1", "mean_average_precision_at_r", "r_precision")
    calculator = AccuracyCalculator(include=measures, k="max_bin_count", device=torch.device("cpu"))
    found: Measures = calculator.get_accuracy(torch.from_numpy(embeddings), torch.from_numpy(labels))
    return found


def _choose_kernels() -> str:
    """Let faiss multiply by the best kernels for this processor, in all processes to come; return their name.

    Its OpenBLAS falls to the slowest on a processor that it does not know.
    """
    chosen = _alone(_kernels)
    if chosen == "Prescott" and torch.cpu._is_avx2_supported():
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX" if torch.cpu._is_avx512_supported() else "Haswell"
        chosen = f"{_alone(_kernels)} (by OPENBLAS_CORETYPE, on Prescott without it)"
    return chosen


def _kernels() -> str:
    """Return the processor for which the products of faiss are written."""
    import faiss  # noqa: F401  # it loads the library that is asked for
    from threadpoolctl import threadpool_info

    known = [
        library["architecture"]
        for library in threadpool_info()
        if library["internal_api"] == "openblas" and "faiss" in library["filepath"]
    ]
    return known[0] if known else "no OpenBLAS"


def _mapped(file: Path) -> str:
    """Time queries against a gallery that is mapped from a file, and tell what it takes of memory."""
    whole = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(GALLERY, NARROW))
    generator = np.random.default_rng(0)
    for at in range(0, GALLERY, 2**16):
        part = whole[at : at + 2**16]
        part[:] = generator.standard_normal(part.shape, np.float32)
    whole.flush()
    del whole
    took, held = _apart(_in_file, _gallery, file)
    title = f"Retrieval in a mapped gallery, {ASKED} queries, {GALLERY} x {NARROW}"
    line = f"  {'':34s} peak {held:6.0f} MB, pages of the file ({GALLERY * NARROW * 4 / 2**20:.0f} MB) among them"
    return "\n".join([table(title, {"retrieval_metrics": [took]}, ASKED, "query"), line])


def _gallery(file: Path) -> tuple[Tensor]:
    return (torch.from_numpy(np.load(file, mmap_mode="c")),)


def _in_file(gallery: Tensor) -> Measures:
    """Search for rows near the first of the gallery, which has ten rows of each label."""
    labels = np.arange(GALLERY) % (GALLERY // 10)
    return retrieval_metrics(gallery[:ASKED] + 0.1, labels[:ASKED], gallery, labels)


def _apart(
    action: Callable[..., Measures], prepare: Callable[..., tuple[Any, ...]], about: Any
) -> tuple[float, float]:
    """Run an action on what `prepare(about)` gives in a process of its own.

    Return its seconds and the megabytes by which its peak has grown.
    """
    return _alone(_measured, action, prepare, about)


def _alone(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a process of its own, with the environment of now."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _measured(
    action: Callable[..., Measures], prepare: Callable[..., tuple[Any, ...]], about: Any
) -> tuple[float, float]:
    few = _example(500)
    _ours(*few), _first(*few), _theirs(*few)  # what the libraries take is no part of it
    arguments = prepare(about)
    _forget_peak()
    before, start = _peak(), time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start, _peak() - before


def _forget_peak() -> None:
    """Let the peak begin anew, where the system can: to make the embeddings took more than to hold them."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def _peak() -> float:
    """Return the peak memory of this process in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` has the peak of the process that started this one, too
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
