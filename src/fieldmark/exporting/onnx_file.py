"""Writing a model that sees pictures alone as an ONNX file, and comparing the file with the model.

The file takes batches of any length of uint8 pictures, resized and cropped as its metadata says; all that follows,
normalisation included, is in the file.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, sha256_file
from fieldmark.contract.method import WEIGHTS, Classifies, Embeds
from fieldmark.trained import TrainedModel

INPUT, VECTORS, PROBABILITIES = "images", "vectors", "probabilities"
LARGEST = 2_000_000_000  # bytes of an ONNX file
EXAMPLES, COARSE, SEED = 12, 8, 0  # pictures that the file is checked with, their cells along a side
TOP = 5
TOLERANCE = 1e-4  # of vectors of unit length and of probabilities


class Agreement(NamedTuple):
    """How an ONNX file agrees with its model: the largest difference of a number, and the share of equal top-k.

    The top k are the likeliest classes of a picture, or the other pictures that are most like it, in order; the order
    of what differs by less than the tolerance is left open.
    """

    pictures: int
    difference: float
    k: int
    equal: float


class _Pictures(nn.Module):
    """A trained model as a function of pictures."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, side, side) uint8 -> descriptors (B, D) or probabilities (B, C), float32."""
        function = self.model.embed if isinstance(self.model, Embeds) else self.model.probabilities
        out: Tensor = function(images).float()
        return out


def export(model: TrainedModel, path: Path, pictures: Tensor | None = None) -> Agreement:
    """Write a model as an ONNX file and return how the file agrees with it; nothing is left of one that does not.

    `pictures` (N, 3, side, side) uint8, N at least 2, are what both are compared on; None: random ones. Raises
    UserError for a model that needs text, one that ONNX cannot express or hold, and a file that does not agree.
    """
    if path.suffix != ".onnx":
        raise UserError(f"{path} must end with .onnx")
    if sum(value.nbytes for value in model.model.state_dict().values()) > LARGEST:
        raise UserError(f"the model in {model.folder} is larger than an ONNX file can be, 2 GB")
    shown = examples(model.model.loaded.side) if pictures is None else pictures
    network = _Pictures(model.model).eval()
    with torch.no_grad():
        expected = network(shown)  # raises UserError for a model that reads text
    with atomic_path(path) as temporary:
        _write(network, shown[:2], temporary, metadata(model))
        agreement = compare(temporary, shown, expected, isinstance(model.model, Embeds))
        if not agreement.difference <= TOLERANCE or agreement.equal < 1:
            raise UserError(
                f"the ONNX file differs from the model by {agreement.difference:.1e}, with {agreement.equal:.0%} "
                f"of the top {agreement.k} equal; it was not kept"
            )
    return agreement


def metadata(model: TrainedModel) -> dict[str, str]:
    """Return what the file says of itself: what goes in, how it is made, what comes out and from which weights."""
    method, images = model.model, model.model.loaded
    resize = max(images.resize or images.side, images.side)
    about = {
        "model": f"{method.name} {method.variant.name}",
        "weights_sha256": sha256_file(model.folder / WEIGHTS),
        "input": f"{INPUT}: uint8 RGB from 0 to 255, (N, 3, {images.side}, {images.side}); normalised in the file",
        "resize": str(resize),
        "resize_shape": images.shape,
        "resize_filter": "bilinear, antialiased",
        "crop": f"centre {images.side}",
        "output": f"{VECTORS}: unit length, the inner product is the similarity",
    }
    if isinstance(method, Embeds) or not isinstance(method, Classifies):
        return about
    about["output"] = f"{PROBABILITIES}: one for each of class_names"
    about["class_names"] = json.dumps(list(method.class_names))
    thresholds = method.presence_thresholds()
    if thresholds is not None:
        about["thresholds"] = json.dumps([round(value, 6) for value in thresholds.tolist()])
    return about


def examples(side: int) -> Tensor:
    """Return random pictures (EXAMPLES, 3, side, side) uint8, always the same: coarse patches with fine noise."""
    generator = torch.Generator().manual_seed(SEED)
    coarse = torch.rand(EXAMPLES, 3, COARSE, COARSE, generator=generator)
    fine = torch.rand(EXAMPLES, 3, side, side, generator=generator)
    mixed = 0.8 * interpolate(coarse, (side, side), mode="bilinear") + 0.2 * fine
    return (255 * mixed).round().to(torch.uint8)


def compare(path: Path, pictures: Tensor, expected: Tensor, embeds: bool) -> Agreement:
    """Run an ONNX file on pictures (N, 3, side, side), one alone and all together, against the expected (N, D).

    Raises UserError for a file that takes batches of one length only.
    """
    import onnxruntime  # takes a while to import, and only this needs it

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if isinstance(session.get_inputs()[0].shape[0], int):
        raise UserError(
            "the model cannot be written as ONNX for batches of any length; it fixes the number of pictures"
        )
    images, wanted = pictures.numpy(), expected.numpy()
    got = session.run(None, {INPUT: images})[0]
    alone = session.run(None, {INPUT: images[:1]})[0]
    difference = max(float(np.abs(got - wanted).max()), float(np.abs(alone - wanted[:1]).max()))
    theirs, ours = (_alike(values) if embeds else values for values in (got, wanted))
    k = min(TOP, ours.shape[1] - (1 if embeds else 0))
    return Agreement(len(images), difference, k, _equal_tops(theirs, ours, k))


def _alike(vectors: Any) -> Any:
    """Return similarities (N, N) of descriptors (N, D); none is like itself."""
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    return similarities


def _equal_tops(theirs: Any, ours: Any, k: int) -> float:
    """Return for which share of the rows (N, M) the k best of `theirs` are, place by place, as good in `ours`."""
    chosen = np.take_along_axis(ours, np.argsort(-theirs, axis=1, kind="stable")[:, :k], axis=1)
    best = -np.sort(-ours, axis=1)[:, :k]
    return float((np.abs(chosen - best) <= TOLERANCE).all(axis=1).mean())


def _write(network: nn.Module, example: Tensor, path: Path, about: dict[str, str]) -> None:
    output = VECTORS if "class_names" not in about else PROBABILITIES
    try:
        with _silent(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[output],
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            )
            assert program is not None
            program.model.metadata_props.update(about)
            program.save(str(path))
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:160]
        raise UserError(f"{about['model']} cannot be written as ONNX: {reason}") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep to itself what the exporter prints of its progress and of its own future."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
