"""Cutting a trained module over the processes: each holds its part of every weight, gradient and optimiser state.

PyTorch's `fully_shard` (FSDP; Zhao et al., arXiv 2304.11277) cuts weights along their first axis. It gathers those of a
block of a network where the block is called, and averages their gradients into the parts.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.optim import Optimizer

from fieldmark.base.errors import UserError
from fieldmark.runtime.distributed import first_process, process_count
from fieldmark.vision.normalising import Normalising

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

P = ParamSpec("P")
R = TypeVar("R")
MESH = "data_parallel"  # Lightning's name of the axis of processes
# Whose children are called one after the other, in the networks of timm and open_clip.
ROWS_OF_BLOCKS = re.compile(r"blocks|stages|layers|resblocks|layer\d+")
NOTES = ("__composable", "_fsdp", "_is_fsdp")  # begin the names of what PyTorch notes in a cut module
MIXED = "mixed torch.Tensor and DTensor"  # what PyTorch says where a weight meets a picture without being gathered


def shard(module: nn.Module, mesh: "DeviceMesh") -> nn.Module:
    """Cut the weights of a module, in place: those of each block of its networks together, and all others.

    Weights come from any device, a block at a time. A weight without axes is left whole, see `average_gradients`.
    """
    from torch.distributed.fsdp import fully_shard  # takes a while: only processes that cut weights wait

    scalars = {weight for weight in module.parameters() if weight.ndim == 0}
    for weight in module.parameters():
        weight.data = weight.data.to(mesh.device_type) if weight in scalars else weight.data.contiguous()
    for part in [*dict.fromkeys(blocks(module)), module]:
        fully_shard(part, mesh=mesh[MESH], reshard_after_forward=True, ignored_params=scalars)
    return module


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks of all networks in `module`, inner ones before those that contain them."""
    for part in module.modules():
        if isinstance(part, Normalising):
            yield from _blocks(part, "")


def _blocks(part: nn.Module, name: str) -> Iterator[nn.Module]:
    if isinstance(part, GraphModule):  # of torchvision: it calls what is in the blocks, and no block
        return
    for own, child in part.named_children():
        yield from _blocks(child, own)
        called = not isinstance(child, nn.ModuleList | nn.ModuleDict)
        if called and ROWS_OF_BLOCKS.fullmatch(name) and any(True for _ in child.parameters()):
            yield child


class Sharding:
    """Remembers how a module was before `shard`: it becomes so again, with the weights that it has by then."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._forms = {part: _Form(part) for part in module.modules()}
        self._strides = {name: weight.stride() for name, weight in module.named_parameters()}

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Make the module an ordinary one whose weights lie on the CPU, to be read; then cut it as before.

        Every process must call this: the weights are gathered.
        """
        cut = {part: (_Form(part), _weights_of(part)) for part in self._forms}
        self._make_whole()
        try:
            yield
        finally:
            for part, (form, weights) in cut.items():
                form.give(part)
                _set_weights(part, weights)

    def undo(self) -> None:
        """Make the module an ordinary one for good, with whole weights on the CPU. Every process must call this."""
        self._make_whole()
        for part in self._forms:
            for name in [name for name in vars(part) if name.startswith(NOTES)]:
                delattr(part, name)

    def _make_whole(self) -> None:
        made: dict[nn.Parameter, nn.Parameter] = {}  # modules may share a weight
        for prefix, part in self.module.named_modules():
            weights = {}
            for name, weight in _weights_of(part).items():
                if weight not in made:
                    made[weight] = self._whole(weight, f"{prefix}.{name}".lstrip("."))
                weights[name] = made[weight]
            self._forms[part].give(part)
            _set_weights(part, weights)

    def _whole(self, weight: nn.Parameter, name: str) -> nn.Parameter:
        values = _gathered(weight.detach())
        laid_out = torch.empty_strided(values.shape, self._strides[name], dtype=values.dtype).copy_(values)
        return nn.Parameter(laid_out, weight.requires_grad)


class _Form:
    """What sharding changes of a module beside its weights: its class and its hooks."""

    def __init__(self, part: nn.Module) -> None:
        self.kind = type(part)
        self.hooks = {name: copy(value) for name, value in vars(part).items() if "_hooks" in name}

    def give(self, part: nn.Module) -> None:
        """Give a module this form."""
        part.__class__ = self.kind
        vars(part).update({name: copy(value) for name, value in self.hooks.items()})


def _weights_of(part: nn.Module) -> dict[str, nn.Parameter]:
    return dict(part.named_parameters(recurse=False, remove_duplicate=False))


def _set_weights(part: nn.Module, weights: Mapping[str, nn.Parameter]) -> None:
    for name, weight in weights.items():
        setattr(part, name, weight)  # by its own `__setattr__`: an LSTM keeps its weights in a second place


def call_within(
    part: nn.Module, function: Callable[Concatenate[nn.Module, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Return `function(part, ...)`, which calls what is in a block of a network in place of the block.

    Where the block is cut its weights are there meanwhile, as in its own `forward`.
    """
    if not _is_cut(part):
        return function(part, *args, **kwargs)
    part.forward = lambda *args, **kwargs: function(part, *args, **kwargs)
    try:
        out: R = part(*args, **kwargs)
    finally:
        del part.forward
    return out


def _is_cut(part: nn.Module) -> bool:
    if process_count() == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(part, FSDPModule)


@contextmanager
def explained() -> Iterator[None]:
    """Turn the error of a network that uses the weights of a block without calling it into a UserError."""
    try:
        yield
    except RuntimeError as error:
        if MIXED not in str(error):
            raise
        raise UserError(
            "runtime.shard: this network uses weights of its blocks without calling the blocks; set it to false"
        ) from error


def own_part(values: Tensor) -> Tensor:
    """Return what this process has of values: its part of what is cut, all of what is not."""
    if process_count() == 1:
        return values
    from torch.distributed.tensor import DTensor

    return values.to_local() if isinstance(values, DTensor) else values


def _gathered(values: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return values.full_tensor() if isinstance(values, DTensor) else values


def gathered(state: Any) -> Any:
    """Return a state with whole tensors on the CPU in place of those that are cut, for the first process to save.

    Every process must call this; what the others get has no tensors in these places.
    """
    if isinstance(state, dict):
        return _with_values(state, {key: gathered(value) for key, value in state.items()})
    if isinstance(state, list | tuple):
        return type(state)(gathered(value) for value in state)
    if not isinstance(state, Tensor):
        return state
    whole = _gathered(state)
    return whole.cpu() if first_process() else None


def _with_values(state: dict[Any, Any], values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a copy of a dictionary with other values; PyTorch writes versions of modules into that of a module."""
    changed = copy(state)
    changed.update(values)
    return changed


def cut_as(values: dict[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of whole tensors that this process has of the tensors of the same names in `like`."""
    return _with_values(values, {name: _cut(value, like[name]) for name, value in values.items()})


def step_one_by_one(optimizer: Optimizer) -> None:
    """Make an optimiser change weights one by one where a group has cut and whole ones: no kernel takes both."""
    for group in optimizer.param_groups:
        if any(weight.ndim == 0 for weight in group["params"]):
            group.update(foreach=False, fused=False)


def cut_optimiser(state: Mapping[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """Return a whole state of an optimiser, cut as the weights of `optimizer` are: what is shaped as a weight is."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    parts = {
        number: {
            name: _cut(value, weights[number])
            if isinstance(value, Tensor) and value.shape == weights[number].shape
            else value
            for name, value in of_weight.items()
        }
        for number, of_weight in state["state"].items()
    }
    kernels = [{name: group[name] for name in ("foreach", "fused")} for group in optimizer.param_groups]
    groups = [saved | own for saved, own in zip(state["param_groups"], kernels, strict=True)]
    return {"state": parts, "param_groups": groups}


def _cut(value: Any, like: Any) -> Any:
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor):
        return value
    # Without a source, for every process has the whole.
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None).clone()


def average_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Average the gradients of weights that are not cut over the processes; those of cut ones are averaged already."""
    for weight in weights:
        if weight.ndim == 0 and weight.grad is not None:
            dist.all_reduce(weight.grad)
            weight.grad /= process_count()


@torch.no_grad()
def clip_gradients(weights: Iterable[nn.Parameter], most: float) -> None:
    """Scale all gradients so that their common norm, over the parts of all processes, is at most `most`.

    As torch's `clip_grad_norm_`, which does not take cut and whole gradients together.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    cut, whole = (
        torch.stack([torch.zeros((), device=gradients[0].device), *squares]).sum()
        for squares in (
            [own_part(values).square().sum() for values in gradients if values.ndim],
            [values.square() for values in gradients if not values.ndim],
        )
    )
    dist.all_reduce(cut)
    factor = (most / ((cut + whole).sqrt() + 1e-6)).clamp(max=1.0)
    for values in gradients:
        own_part(values).mul_(factor)
