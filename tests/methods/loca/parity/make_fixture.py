"""Make `step.npz`: two training steps of a tiny LOCA in JAX, written from the equations with flax and optax.

The project does not depend on these: python -m pip install jax flax optax, then python make_fixture.py. What
is flax's or optax's own here (attention, LayerNorm, GELU, resizing, clipping, AdamW and its decay mask by rank) is what
the official training step uses. Names and layouts of the stored weights are those of our modules.
"""

from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.example_libraries.optimizers import clip_grads

jax.config.update("jax_enable_x64", True)

DIM, HEADS, HIDDEN, LAYERS, PATCH, GRID = 8, 2, 16, 2, 4, 4
PLACES, BOTTLENECK, PROTOTYPES, WIDE = GRID * GRID, 6, 10, 8
BATCH, FOCAL, FOCAL_GRID = 3, 2, 2
LR, DECAY, CLIP, TEMPERATURE, SHARPENING, MOMENTUM, STEPS = 1e-3, 0.1, 1.0, 0.1, 0.05, 0.996, 4
MEAN, STD = (
    np.float32([0.485, 0.456, 0.406]),
    np.float32([0.229, 0.224, 0.225]),
)  # single precision, as buffers are
Tree = Any


class Attention(nn.Module):
    """Pre-norm attention and MLP; with `seen`, keys and values come from there."""

    cross: bool = False

    @nn.compact
    def __call__(self, x, factors=None, seen=None):
        factors = jnp.ones((len(x), 2)) if factors is None else factors
        query = nn.LayerNorm(name="n1")(x)
        keys = nn.LayerNorm(name="nk")(seen) if self.cross else query
        attended = nn.MultiHeadDotProductAttention(num_heads=HEADS, name="a")(query, keys)
        x = x + factors[:, 0, None, None] * attended
        hidden = nn.gelu(nn.Dense(HIDDEN, name="f1")(nn.LayerNorm(name="n2")(x)))
        return x + factors[:, 1, None, None] * nn.Dense(DIM, name="f2")(hidden)


class Network(nn.Module):
    """Encoder and heads."""

    def setup(self):
        self.patches = nn.Conv(DIM, (PATCH, PATCH), strides=(PATCH, PATCH), padding="VALID")
        self.table = self.param("table", nn.initializers.normal(1.0), (1, GRID, GRID, DIM))
        self.blocks = [Attention() for _ in range(LAYERS)]
        self.norm, self.last = nn.LayerNorm(), nn.LayerNorm()
        self.crossing = Attention(cross=True)
        self.classify = nn.Dense(PLACES)
        self.mlp = [nn.Dense(width) for width in (WIDE, WIDE, BOTTLENECK)]
        self.prototypes = self.param("prototypes", nn.initializers.normal(1.0), (BOTTLENECK, PROTOTYPES))

    def encode(self, images, factors, positions=True, kept=None):
        x = self.patches((images.transpose(0, 2, 3, 1).astype(float) - MEAN) / STD)
        if positions:
            x = x + jax.image.resize(self.table, (1, *x.shape[1:]), "bilinear")
        x = x.reshape(len(x), -1, DIM)
        x = x if kept is None else x[:, kept]
        for number, block in enumerate(self.blocks):
            x = block(x, factors[:, number])
        return self.norm(x)

    def locate(self, queries, seen):
        return self.classify(self.last(self.crossing(queries, seen=seen)))

    def project(self, x):
        x = nn.gelu(self.mlp[1](nn.gelu(self.mlp[0](x))))
        x = self.mlp[2](x)
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x @ (self.prototypes / (jnp.linalg.norm(self.prototypes, axis=0, keepdims=True) + 1e-10))

    def __call__(self, images, factors):
        x = self.encode(images, factors)
        return self.locate(x, x), self.project(x)


NETWORK = Network()


def weighted(logits, wanted, weight):
    loss = -(wanted * jax.nn.log_softmax(logits)).sum(-1)
    return (loss * weight).sum() / (weight.sum() + 1e-8)


def objective(params, teacher, data, clustered):
    call = partial(NETWORK.apply, {"params": params})
    reference, factors = data["reference"], data["branches"]
    if clustered:
        call_teacher = partial(NETWORK.apply, {"params": teacher})
        features = call_teacher(reference, factors[:, 0], method="encode")
        seen = features[:, data["visible"]]
        assigned = jax.nn.softmax(call_teacher(features, method="project") / SHARPENING)
        assigned = assigned.reshape(-1, PROTOTYPES)
        for _ in range(3):
            assigned = assigned / assigned.sum(0, keepdims=True)
            assigned = assigned / assigned.sum(1, keepdims=True)
        assigned = assigned.reshape(BATCH, PLACES, PROTOTYPES)
    else:
        seen = call(reference, factors[:, 0], kept=data["visible"], method="encode")
    logits, scores, targets, owners = [], [], [], []
    views = [(data["random"], data["random_targets"], data["kept"], 1)]
    views += [(data["focal"][n], data["focal_targets"][n], None, 2 + n) for n in range(FOCAL)]
    for images, wanted, kept, number in views:
        x = call(images, factors[:, number], positions=clustered, kept=kept, method="encode")
        logits.append(call(x, seen, method="locate").reshape(-1, PLACES))
        scores.append(call(x, method="project").reshape(-1, PROTOTYPES))
        wanted = wanted.reshape(BATCH, -1)
        targets.append((wanted if kept is None else wanted[:, kept]).reshape(-1))
        owners.append(np.repeat(np.arange(BATCH), x.shape[1]))
    logits, scores, targets, owners = map(jnp.concatenate, (logits, scores, targets, owners))
    valid = targets != -1
    losses = {"position": weighted(logits, jax.nn.one_hot(targets, PLACES), valid)}
    if clustered:
        scores = scores / TEMPERATURE
        losses["cluster"] = weighted(scores, assigned[owners, targets], valid)
        mean = jax.nn.softmax(scores).mean(0)
        losses["me_max"] = (mean * jnp.log(mean)).sum()
    return sum(losses.values()), (losses, logits)


def run(params, teacher, batches, clustered):
    """Return logits, losses and how far each weight has moved since the start, after each step."""
    start = {"student": named(params), "teacher": named(teacher)}
    optimizer = optax.adamw(
        LR, weight_decay=DECAY, mask=jax.tree_util.tree_map(lambda x: x.ndim != 1, params)
    )
    state, out = optimizer.init(params), {}
    for step, data in enumerate(batches):
        (_, (losses, logits)), gradient = jax.value_and_grad(objective, has_aux=True)(
            params, teacher, data, clustered
        )
        updates, state = optimizer.update(clip_grads(gradient, CLIP), state, params)
        params = optax.apply_updates(params, updates)
        momentum = 1 - (1 - MOMENTUM) * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        teacher = jax.tree_util.tree_map(lambda t, s, m=momentum: m * t + (1 - m) * s, teacher, params)
        out[f"{step}/logits"] = logits
        out.update({f"{step}/losses/{name}": value for name, value in losses.items()})
        trees = {"student": params, "teacher": teacher} if clustered else {"student": params}
        for owner, tree in trees.items():
            moved = {name: value - start[owner][name] for name, value in named(tree, clustered).items()}
            out[f"{step}/{owner}"] = packed(moved)
    return out


def named(params: Tree, clustered: bool = True) -> dict[str, np.ndarray]:
    """Turn flax's tree into our names and layouts."""
    out = {
        "backbone.trunk.network.pos_embed": params["table"].reshape(1, PLACES, DIM),
        "backbone.trunk.network.patch_embed.proj.weight": params["patches"]["kernel"].transpose(3, 2, 0, 1),
        "backbone.trunk.network.patch_embed.proj.bias": params["patches"]["bias"],
        **norm("backbone.trunk.network.norm", params["norm"]),
        **norm("position.cross.norm", params["last"]),
        **dense("position.classifier", params["classify"]),
    }
    for number in range(LAYERS):
        block, place = params[f"blocks_{number}"], f"backbone.trunk.network.blocks.{number}"
        parts = attention(block["a"])
        out |= {
            f"{place}.attn.qkv.{kind}": np.concatenate([parts[p][kind] for p in "qkv"])
            for kind in ("weight", "bias")
        }
        out |= {f"{place}.attn.proj.{kind}": parts["o"][kind] for kind in ("weight", "bias")}
        out |= norm(f"{place}.norm1", block["n1"]) | norm(f"{place}.norm2", block["n2"])
        out |= dense(f"{place}.mlp.fc1", block["f1"]) | dense(f"{place}.mlp.fc2", block["f2"])
    block, place = params["crossing"], "position.cross"
    parts = attention(block["a"])
    for kind in ("weight", "bias"):
        out[f"{place}.query.{kind}"], out[f"{place}.proj.{kind}"] = parts["q"][kind], parts["o"][kind]
        out[f"{place}.key_value.{kind}"] = np.concatenate([parts[p][kind] for p in "kv"])
    out |= norm(f"{place}.norm_query", block["n1"]) | norm(f"{place}.norm_reference", block["nk"])
    out |= norm(f"{place}.norm_mlp", block["n2"])
    out |= dense(f"{place}.mlp.fc1", block["f1"]) | dense(f"{place}.mlp.fc2", block["f2"])
    if clustered:
        for number in range(3):
            out |= dense(f"projection.mlp.{2 * number}", params[f"mlp_{number}"])
        out["projection.prototypes.weight"] = params["prototypes"].T
    return {name: np.asarray(value) for name, value in out.items()}


def packed(weights: dict[str, np.ndarray]) -> np.ndarray:
    """Weights as one vector in single precision, in the order of their names: small in a file."""
    return np.concatenate([weights[name].ravel() for name in sorted(weights)]).astype(np.float32)


def attention(tree: Tree) -> dict[str, dict[str, np.ndarray]]:
    parts = {
        name[0]: {
            "weight": np.asarray(tree[name]["kernel"]).reshape(DIM, DIM).T,
            "bias": np.asarray(tree[name]["bias"]).reshape(-1),
        }
        for name in ("query", "key", "value")
    }
    parts["o"] = {
        "weight": np.asarray(tree["out"]["kernel"]).reshape(DIM, DIM).T,
        "bias": np.asarray(tree["out"]["bias"]),
    }
    return parts


def dense(name: str, tree: Tree) -> dict[str, np.ndarray]:
    return {f"{name}.weight": tree["kernel"].T, f"{name}.bias": tree["bias"]}


def norm(name: str, tree: Tree) -> dict[str, np.ndarray]:
    return {f"{name}.weight": tree["scale"], f"{name}.bias": tree["bias"]}


def random_weights(seed: int) -> Tree:
    """Weights that are exact in float32, every one away from zero on average, norms near one."""
    shapes = jax.eval_shape(
        NETWORK.init, jax.random.key(0), np.zeros((1, 3, 16, 16)), np.ones((1, LAYERS, 2))
    )
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        value = 0.3 * rng.standard_normal(leaf.shape) + (path[-1].key == "scale")
        return jnp.asarray(value.astype(np.float32).astype(np.float64))

    return jax.tree_util.tree_map_with_path(draw, shapes["params"])


def random_batch(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    side, small = GRID * PATCH, FOCAL_GRID * PATCH
    pictures = {
        "reference": (BATCH, 3, side, side),
        "random": (BATCH, 3, side, side),
        "focal": (FOCAL, BATCH, 3, small, small),
    }
    data = {name: (rng.integers(0, 256, shape) / 256).astype(np.float32) for name, shape in pictures.items()}
    return data | {
        "random_targets": rng.integers(-1, PLACES, (BATCH, GRID, GRID)),
        "focal_targets": rng.integers(-1, PLACES, (FOCAL, BATCH, FOCAL_GRID, FOCAL_GRID)),
        "visible": rng.integers(0, PLACES - 5) + np.arange(5),
        "kept": rng.permutation(PLACES)[:7],
        "branches": rng.choice([0.0, 1.25], (BATCH, 2 + FOCAL, LAYERS, 2), p=[0.2, 0.8]),
    }


def main() -> None:
    student, teacher = random_weights(1), random_weights(2)
    batches = [random_batch(3), random_batch(4)]
    content = {f"batch/{n}/{name}": value for n, data in enumerate(batches) for name, value in data.items()}
    for owner, tree in (("student", student), ("teacher", teacher)):
        content[f"start/{owner}"] = packed(named(tree))
    for mode, clustered in (("LOCA", True), ("position", False)):
        found = run(student, teacher, batches, clustered)
        content |= {f"{mode}/{name}": np.asarray(value) for name, value in found.items()}
    np.savez_compressed(Path(__file__).with_name("step.npz"), **content)


if __name__ == "__main__":
    main()
