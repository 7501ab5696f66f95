"""The published encoders of LOCA: files of their layout, read safely, give the features of a slow reference."""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.flaxfile import loca_state, packed

from fieldmark.base.errors import UserError
from fieldmark.vision.backbones import NetworkParams, create_backbone
from fieldmark.vision.flax import is_flax, read_flax

DIM, HEADS, LAYERS, PATCH, GRID = 8, 2, 2, 4, 4
OPTIONS: dict[str, Any] = {
    **{"patch_size": PATCH, "embed_dim": DIM, "depth": LAYERS, "num_heads": HEADS, "mlp_ratio": 2},
    **{"class_token": False, "global_pool": "", "act_layer": "gelu_tanh", "img_size": GRID * PATCH},
    **{"dynamic_img_size": True, "positions": "bilinear"},
}
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def params(path: Path, **options: object) -> NetworkParams:
    return NetworkParams(arch="vit_tiny_patch16_224", options={**OPTIONS, **options}, weights=str(path))


def written(folder: Path, state: Any) -> Path:
    (folder / "loca_vtiny").write_bytes(packed(state))  # published without an ending
    return folder / "loca_vtiny"


def extensions(depth: int) -> bytes:
    """Return arrays of arrays of arrays."""
    content = b"\xc0"
    for _ in range(depth):
        content = b"\xc9" + struct.pack(">Ib", len(content), 1) + content
    return content


def normed(x: np.ndarray, norm: Any) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * norm["scale"] + norm["bias"]


def dense(x: np.ndarray, layer: Any) -> np.ndarray:
    return x @ layer["kernel"].astype(float) + layer["bias"]


def triangles(count: int, new: int) -> np.ndarray:
    """Return the weights (new, count) of a bilinear resize with antialiasing: a triangle, widened where it shrinks."""
    weights, scale = np.zeros((new, count)), max(count / new, 1.0)
    for row in range(new):
        centre = (row + 0.5) * count / new - 0.5
        for column in range(count):
            weights[row, column] = max(0.0, 1 - abs(column - centre) / scale)
        weights[row] /= weights[row].sum()
    return weights


def attended(x: np.ndarray, attention: Any) -> np.ndarray:
    """One token and one head at a time."""
    out = np.zeros_like(x)
    for head in range(HEADS):
        query, key, value = (
            x @ attention[name]["kernel"][:, head].astype(float) + attention[name]["bias"][head]
            for name in ("query", "key", "value")
        )
        for token in range(len(x)):
            likeness = np.exp([query[token] @ other / math.sqrt(DIM // HEADS) for other in key])
            seen = sum(w * v for w, v in zip(likeness / likeness.sum(), value, strict=True))
            out[token] += seen @ attention["out"]["kernel"][head]
    return out + attention["out"]["bias"]


def reference(picture: np.ndarray, tree: Any) -> np.ndarray:
    """Encode a picture (H, W, 3) in [0, 1] by the equations: (rows, columns, dim)."""
    tokens = tree["ToTokenSequence_0"]
    rows, columns = (side // PATCH for side in picture.shape[:2])
    table = tokens["posembed_input"][0].astype(float)
    table = np.einsum("ri,cj,ijd->rcd", triangles(GRID, rows), triangles(GRID, columns), table)
    x = np.zeros((rows, columns, DIM))
    for row in range(rows):
        for column in range(columns):
            patch = (
                picture[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] - MEAN
            ) / STD
            x[row, column] = (
                np.einsum("abc,abcd->d", patch, tokens["embedding"]["kernel"]) + tokens["embedding"]["bias"]
            )
    x = (x + table).reshape(-1, DIM)
    for layer in range(LAYERS):
        block = tree[f"encoderblock_{layer}"]
        x = x + attended(normed(x, block["LayerNorm_0"]), block["MultiHeadDotProductAttention_0"])
        hidden = dense(normed(x, block["LayerNorm_1"]), block["MlpBlock_0"]["Dense_0"])
        hidden = 0.5 * hidden * (1 + np.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
        x = x + dense(hidden, block["MlpBlock_0"]["Dense_1"])
    return normed(x, tree["encoder_norm"]).reshape(rows, columns, DIM)


@pytest.mark.parametrize("side", [GRID * PATCH, 2 * PATCH, 6 * PATCH])
def test_features_equal_a_slow_reference_at_any_size(tmp_path: Path, side: int) -> None:
    """The student's, at the size of the training and smaller and larger ones."""
    state = loca_state(DIM, HEADS, LAYERS, PATCH, GRID)
    backbone = create_backbone(params(written(tmp_path, state)), GRID * PATCH).eval()
    picture = np.random.default_rng(1).random((side, side, 3), np.float32)
    with torch.no_grad():
        found = backbone(torch.from_numpy(picture).permute(2, 0, 1)[None]).feature_map[0].permute(1, 2, 0)
    np.testing.assert_allclose(found.numpy(), reference(picture, state["params"]), atol=2e-5)
    assert np.abs(found.numpy() - reference(picture, state["ema_params"])).max() > 0.1


def test_a_file_of_the_encoders_weights_alone_is_read_too(tmp_path: Path) -> None:
    state = loca_state(DIM, HEADS, LAYERS, PATCH, GRID)
    weights = [
        create_backbone(params(written(tmp_path, tree)), GRID * PATCH).state_dict()
        for tree in (state, state["params"])
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 4}, "has 2 heads of attention, the network 4"),
        (
            {"act_layer": "gelu"},
            "wants its network's GELU and its resizing of positions: set options to {class",
        ),
        ({"positions": None}, "wants its network's GELU and its resizing"),
        ({"depth": 3}, "lacks 12 of the network's"),
        ({"embed_dim": 16}, "another is needed"),
    ],
)
def test_a_network_that_would_compute_something_else_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, loca_state(DIM, HEADS, LAYERS, PATCH, GRID))
    with pytest.raises(UserError, match=message):
        create_backbone(params(path, **options), GRID * PATCH)


def test_a_network_with_a_class_token_or_without_blocks_is_refused(tmp_path: Path) -> None:
    path = str(written(tmp_path, loca_state(DIM, HEADS, LAYERS, PATCH, GRID)))
    plain = {name: OPTIONS[name] for name in ("patch_size", "embed_dim", "depth", "num_heads", "img_size")}
    for network in (
        NetworkParams(arch="vit_tiny_patch16_224", options=plain, weights=path),
        NetworkParams(arch="resnet10t", weights=path),
    ):
        with pytest.raises(UserError, match="for a vision transformer without class token: set its options"):
            create_backbone(network, GRID * PATCH)


def test_another_state_is_told(tmp_path: Path) -> None:
    state = loca_state(DIM, HEADS, LAYERS, PATCH, GRID)
    del state["params"]["encoderblock_1"]["MlpBlock_0"]
    with pytest.raises(
        UserError, match=r"holds no encoder of LOCA as its authors publish it \(KeyError: 'MlpBlock_0"
    ):
        create_backbone(params(written(tmp_path, state)), GRID * PATCH)
    with pytest.raises(UserError, match="holds no encoder of LOCA"):
        create_backbone(
            params(written(tmp_path, {"params": {"Dense_0": np.ones(3)}, "more": 1.0})), GRID * PATCH
        )


def test_every_kind_of_value_is_read_back(tmp_path: Path) -> None:
    state = loca_state(DIM, HEADS, LAYERS, PATCH, GRID)
    numbers = [0, 127, 128, -1, -(2**40), 2**40, 0.25, True, None, b"raw", "a" * 200]
    tree = read_flax(written(tmp_path, {**state, "numbers": numbers, **{f"k{n}": n for n in range(20)}}))
    assert [bytes(v) if isinstance(v, memoryview) else v for v in tree["numbers"]] == numbers
    assert tree["k19"] == 19
    assert tree["global_step"] == tree["opt_state"]["0"]["count"] == 125_100
    assert tree["metadata"]["chrono"] == {"accum_train_time": 1.5, "note": "a" * 40, "z": None, "done": True}
    for array in ("rng", "params"):
        np.testing.assert_equal(tree[array], state[array])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-100], "it ends after"),
        (lambda b: b + b"\0", "1 bytes follow its end"),
        (lambda b: b.replace(b"float32", b"float99"), "an array of float99 is not read"),
        (lambda b: b.replace(b"float32", b"object_"), "an array of object_ is not read"),
        (lambda b: b.replace(packed([8, 16]), packed([8, 17])), r"an array of shape \(8, 17\) has 512 bytes"),
        (lambda b: b"\x81" + packed("a") + b"\xc1" + b, "byte 0xc1 begins no value"),
        (lambda b: b"\x81" + packed("a") + 99 * b"\x91" + b, "nested more than 64 deep"),
        (lambda b: b"\x81" + packed("a") + extensions(99), "nested more than 64 deep"),
        (lambda b: b"\x81" + packed("a") + b"\xdd\xff\xff\xff\xff" + b, "follow its end|it ends after"),
        (lambda b: b"\x81\xc0" + b, "a name is no text"),
        (lambda b: b"\x81\xa3\xff\xff\xff" + b, "codec can't decode"),
    ],
    ids=range(11),
)
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, damage: Any, message: str) -> None:
    whole = packed(loca_state(DIM, HEADS, LAYERS, PATCH, GRID))
    path = tmp_path / "damaged"
    path.write_bytes(damage(whole))
    with pytest.raises(
        UserError, match=rf"is no flax checkpoint, or not all of it \(.*({message})"
    ) as caught:
        create_backbone(params(path), GRID * PATCH)
    assert "\n" not in str(caught.value)


def test_only_a_map_of_messagepack_counts_as_flax(tmp_path: Path) -> None:
    for number, (content, wanted) in enumerate(
        (
            (packed({"params": {}}), True),
            (b"\x80\0\0\0\0\0\0\0{}", False),
            (b"PK\3\4 a zip file", False),
            (b"", False),
        )
    ):
        (tmp_path / str(number)).write_bytes(content)
        assert is_flax(tmp_path / str(number)) == wanted
