"""BatchNorm in two processes with half of the pictures each equals torch's with all of them."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from fieldmark.runtime.batchnorm import synchronise_batchnorm

PROCESSES, PICTURES, CHANNELS, SIDE = 2, 6, 4, 5


def network() -> nn.Module:
    """Both kinds of layers, one that stays in eval mode, and one that averages its statistics over all steps."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3),
        nn.BatchNorm2d(CHANNELS),
        BatchNormAct2d(CHANNELS, momentum=0.3),
        nn.BatchNorm2d(CHANNELS, affine=False, momentum=None),
        nn.BatchNorm2d(CHANNELS),
    ).double()
    made[4].eval()
    return made


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    scale = torch.arange(1, PICTURES + 1).view(-1, 1, 1, 1)  # the halves have other statistics
    return scale * torch.rand(PICTURES, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)


def trained(model: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """The model's state and the gradients of its loss after a few steps."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        model(batch).cos().mean().backward()
        optimiser.step()
    gradients = {f"{name} gradient": p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**model.state_dict(), **gradients}


def one_part(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=PROCESSES)
    try:
        model = network()
        synchronise_batchnorm(model)
        half = PICTURES // PROCESSES
        parallel = nn.parallel.DistributedDataParallel(model)
        found = trained(parallel, pictures()[rank * half : (rank + 1) * half])
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    mp.spawn(one_part, (str(tmp_path),), PROCESSES)
    expected = trained(network(), pictures())
    for rank in range(PROCESSES):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert len(found) == len(expected)
        for name, value in expected.items():
            torch.testing.assert_close(
                found[f"module.{name}"], value, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_a_single_process_is_left_as_it_is() -> None:
    model, changed = network(), network()
    synchronise_batchnorm(changed)
    expected, found = trained(model, pictures()), trained(changed, pictures())
    assert all(torch.equal(found[name], value) for name, value in expected.items())
