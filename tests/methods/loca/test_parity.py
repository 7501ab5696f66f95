"""Two training steps against JAX: same weights, same batch, same kept tokens (see parity/make_fixture.py)."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from fieldmark.base.blocks import parse
from fieldmark.engine.loop import Stepper
from fieldmark.engine.trainable import Losses
from fieldmark.methods.loca.model.encoder import build_encoder
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.network import Chosen
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.variants import make_variant
from fieldmark.methods.loca.model.views import View, Views
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision import positions

FIXTURE = Path(__file__).parent / "parity" / "step.npz"
FIELDS = {
    "options": {"patch_size": 4, "embed_dim": 8, "depth": 2, "num_heads": 2, "mlp_ratio": 2},
    "arch": "vit_tiny_patch16_224",
    "views": {"reference_size": 16, "random_tokens": 7, "focal_count": 2, "focal_size": 8},
    "head": {"prototypes": 10, "hidden": 8, "bottleneck": 6},
    "images": {"side": 16},
    "train": {"steps": 4, "batch_size": 3, "lr": 1e-3, "weight_decay": 0.1, "clip_norm": 1.0},
}


class Given(Loca):
    """LOCA on the fixture's views and choices, in place of drawn ones."""

    logits: torch.Tensor

    def forward(self, batch: dict[str, torch.Tensor]) -> Losses:
        def view(name: str) -> View:
            targets = batch.get(f"{name}_targets", batch["random_targets"])
            return View(batch[name].double(), torch.empty(0), torch.empty(0), targets)

        views = Views(view("reference"), view("random"), view("focal"))
        return self.losses(views, Chosen(batch["visible"], batch["kept"], batch["branches"]))

    def _logits(self, queries: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
        self.logits = super()._logits(queries, reference)
        return self.logits


@pytest.fixture(scope="module")
def stored() -> dict[str, torch.Tensor]:
    with np.load(FIXTURE) as content:
        return {name: torch.from_numpy(content[name]) for name in content.files}


def under(stored: dict[str, torch.Tensor], place: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(place): value for name, value in stored.items() if name.startswith(place)}


def unpacked(vector: torch.Tensor, like: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Cut a vector into the weights of `like`, which it holds in the order of their names."""
    shapes = {name: value.shape for name, value in sorted(like.state_dict().items())}
    parts = vector.double().split([shape.numel() for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def started(stored: dict[str, torch.Tensor], mode: str) -> Given:
    block = parse(LocaParams, FIELDS, "loca")
    whole = Given(make_variant("LOCA", block), build_encoder(block)).network
    method = Given(make_variant(mode, block), build_encoder(block)).double()
    for name, module in (("student", method.network), ("teacher", method.teacher)):
        if module is not None:
            wanted = unpacked(stored[f"start/{name}"], whole)
            module.load_state_dict({key: wanted[key] for key in module.state_dict()})
    return method


def in_their_order(logits: torch.Tensor) -> torch.Tensor:
    """Ours is picture by picture; theirs view by view."""
    random, *focal = logits.split([7, 4, 4], dim=1)
    return torch.cat([part.flatten(0, 1) for part in (random, *focal)])


@pytest.mark.parametrize("mode", ["LOCA", "position"])
def test_two_steps_equal_those_in_jax(stored: dict[str, torch.Tensor], mode: str) -> None:
    method = started(stored, mode)
    stepper = Stepper(method, method.params.seeded, RuntimeParams(device="cpu"))
    owners = {"student": method.network} | ({"teacher": method.teacher} if method.teacher else {})
    begun = {name: copy.deepcopy(module.state_dict()) for name, module in owners.items()}
    for step in range(2):
        method.before_step(step)
        stepper.set_rate(step)
        found = stepper.step(iter([under(stored, f"batch/{step}/")]))
        method.after_step(step)
        torch.testing.assert_close(
            in_their_order(method.logits), stored[f"{mode}/{step}/logits"], atol=1e-9, rtol=1e-9
        )
        losses = under(stored, f"{mode}/{step}/losses/")
        assert losses.keys() == found.keys() & {"position", "cluster", "me_max"}
        for name, value in losses.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=0)
        for name, module in owners.items():
            moved = unpacked(stored[f"{mode}/{step}/{name}"], module)
            for key, value in module.state_dict().items():
                wanted = begun[name][key] + moved[key]
                torch.testing.assert_close(value, wanted, atol=1e-9, rtol=0, msg=lambda m, k=key: f"{k}: {m}")


def test_biases_of_keys_decay(stored: dict[str, torch.Tensor]) -> None:
    network, bias = started(stored, "LOCA").network, "backbone.trunk.network.blocks.0.attn.qkv.bias"
    key = unpacked(stored["LOCA/0/student"], network)[bias][
        8:16
    ]  # no gradient reaches it: decay alone moves it
    start = network.state_dict()[bias][8:16]
    torch.testing.assert_close(key, -1e-3 * 0.1 * start, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("change", ["antialias", "gelu"])
def test_a_plain_resize_or_an_exact_gelu_would_break_parity(
    stored: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    method, plain = started(stored, "LOCA"), torch.nn.functional.interpolate
    if change == "gelu":
        for block in method.backbone.trunk.network.blocks:
            block.mlp.act = torch.nn.GELU()
    else:
        monkeypatch.setattr(
            positions, "interpolate", lambda *args, antialias, **rest: plain(*args, antialias=False, **rest)
        )
    method(under(stored, "batch/0/"))
    assert (in_their_order(method.logits) - stored["LOCA/0/logits"]).abs().max() > 1e-4
