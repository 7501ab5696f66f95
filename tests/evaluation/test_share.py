"""Several processes that rank together find what one finds alone."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from fieldmark.evaluation import tiles
from fieldmark.evaluation.retrieval import RetrievalResults, rank_queries
from fieldmark.runtime.distributed import ProcessShare

DEPTHS = (None, 2)


def rows(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    if kind == "equal":
        return rng.normal(size=(4, 8))[rng.integers(4, size=150)], np.arange(150) % 30
    return rng.normal(size=(150, 8)), np.arange(150) % 30


def ranked(kind: str, depth: int | None, **share: ProcessShare) -> list[RetrievalResults]:
    """Each among the others, and some in a gallery."""
    embeddings, labels = rows(kind)
    sides = embeddings[:40], labels[:40], embeddings[40:], labels[40:]
    kept = 0 if depth else 5
    return [
        rank_queries(*given, neighbours=kept, depth=depth, **share) for given in ((embeddings, labels), sides)
    ]


def work(rank: int, processes: int, folder: Path) -> None:
    """Rank in one of so many processes, and compare with what it finds alone."""
    torch.set_num_threads(1)
    tiles.TILE = 16
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=processes)
    looked: list[int] = []
    product = tiles.Pair.product
    tiles.Pair.product = lambda self, *rest: (looked.append(1), product(self, *rest))[1]  # type: ignore[method-assign]
    for kind in ("apart", "equal"):
        for depth in DEPTHS:
            alone = ranked(kind, depth)
            whole = len(looked)
            for one, other in zip(ranked(kind, depth, share=ProcessShare()), alone, strict=True):
                for field in fields(one):
                    if depth is None or field.name != "ap":
                        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
            assert len(looked) - whole <= whole / processes + 2
            looked.clear()
    dist.destroy_process_group()
    (folder / f"{rank}").touch()


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_find_together_what_one_finds(tmp_path: Path, processes: int) -> None:
    spawn(work, (processes, tmp_path), nprocs=processes)
    assert all((tmp_path / str(rank)).exists() for rank in range(processes))
