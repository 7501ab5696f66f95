"""Writing flax checkpoints by hand: MessagePack as its specification has it, arrays as flax puts them into it."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np


def packed(value: Any) -> bytes:
    """Return a value as MessagePack; an array and a numpy number as extensions of flax."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, np.ndarray | np.generic):
        inner = packed([list(value.shape), value.dtype.name, value.tobytes()])
        return b"\xc9" + struct.pack(">Ib", len(inner), 1 if isinstance(value, np.ndarray) else 3) + inner
    if isinstance(value, int):
        return struct.pack("B", value) if 0 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return (struct.pack("B", 0xA0 | len(text)) if len(text) < 32 else b"\xd9" + bytes([len(text)])) + text
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, Mapping):
        inner = b"".join(packed(key) + packed(item) for key, item in value.items())
        return (
            struct.pack("B", 0x80 | len(value))
            if len(value) < 16
            else b"\xde" + struct.pack(">H", len(value))
        ) + inner
    if isinstance(value, complex):
        inner = packed([value.real, value.imag])
        return b"\xc7" + struct.pack(">Bb", len(inner), 2) + inner
    return struct.pack("B", 0x90 | len(value)) + b"".join(map(packed, value))


def loca_state(dim: int, heads: int, layers: int, patch: int, grid: int, seed: int = 0) -> dict[str, Any]:
    """Return a training state laid out as LOCA's official code writes it, with random weights."""
    rng, hidden, width = np.random.default_rng(seed), 2 * dim, dim // heads

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    def dense(inputs: int, outputs: int) -> dict[str, Any]:
        return {"kernel": drawn(inputs, outputs), "bias": drawn(outputs)}

    def norm() -> dict[str, Any]:
        return {"scale": 1 + drawn(dim), "bias": drawn(dim)}

    def block() -> dict[str, Any]:
        return {
            "LayerNorm_0": norm(),
            "MultiHeadDotProductAttention_0": {
                **{
                    name: {"kernel": drawn(dim, heads, width), "bias": drawn(heads, width)}
                    for name in ("query", "key", "value")
                },
                "out": {"kernel": drawn(heads, width, dim), "bias": drawn(dim)},
            },
            "LayerNorm_1": norm(),
            "MlpBlock_0": {"Dense_0": dense(dim, hidden), "Dense_1": dense(hidden, dim)},
        }

    def params() -> dict[str, Any]:
        return {
            "ToTokenSequence_0": {
                "embedding": {"kernel": drawn(patch, patch, 3, dim), "bias": drawn(dim)},
                "posembed_input": drawn(1, grid, grid, dim),
            },
            **{f"encoderblock_{layer}": block() for layer in range(layers)},
            "encoder_norm": norm(),
            "projection_head_for_clustering_prediction": {
                "Dense_0": dense(dim, 5),
                "prototypes": {"kernel": drawn(5, 7)},
            },
            "cross_attention_block": {"LayerNorm_2": norm(), **block()},
            "final_norm": norm(),
            "position_predictor": dense(dim, grid * grid),
        }

    student = params()
    return {
        "opt_state": {"0": {"count": np.int32(125_100)}, "1": {"mu": {"a": drawn(3)}, "nu": None}},
        "ema_params": params(),
        "params": student,
        "state": None,
        "ema_state": None,
        "global_step": 125_100,
        "rng": np.array([1, 2], np.uint32),
        "metadata": {"chrono": {"accum_train_time": 1.5, "note": "a" * 40, "z": 1 + 2j, "done": True}},
    }
