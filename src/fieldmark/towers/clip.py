"""CLIP through open_clip: any of its architectures or a given configuration, with weights or to be trained.

A. Radford et al. 2021, arXiv 2103.00020. open_clip itself can open a saved CLIP as well (`local-dir:<folder>`).
"""

import copy
import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fieldmark.base.blocks import nearest
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, read_json, sha256_file, write_json
from fieldmark.vision.normalising import Normalising
from fieldmark.vision.reading import load_tensors

# The names that open_clip gives its files.
CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


@dataclass(frozen=True)
class ClipSpec:
    """All that is needed to build the network again: open_clip's configuration, and how pictures are made for it."""

    model: dict[str, Any]
    size: int  # side of the square picture in pixels
    squash: bool  # resize to a square; else resize the shorter side and crop the centre
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def as_open_clip(self) -> dict[str, Any]:
        """Return the content of open_clip's configuration file."""
        pictures = {
            "size": [self.size, self.size],
            "mode": "RGB",
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": "bilinear",
            "resize_mode": "squash" if self.squash else "shortest",
        }
        return {"model_cfg": self.model, "preprocess_cfg": pictures}


class Clip(Normalising):
    """An image and a text tower into one space of `dim` dimensions; nothing is normalised."""

    def __init__(self, network: nn.Module, spec: ClipSpec) -> None:
        super().__init__(spec.mean, spec.std)
        # Convolutions run faster with channels last; transformers run equally fast.
        self.network, self.spec = network.to(memory_format=torch.channels_last), spec
        self._tokenizer = _tokenizer(spec.model)

    @property
    def dim(self) -> int:
        """Dimension m of the common space."""
        return int(self.spec.model["embed_dim"])

    @property
    def image_network(self) -> nn.Module:
        """The image tower; of a tower that is a network of timm with a pooling of open_clip's, timm's alone."""
        tower: nn.Module = self.network.visual  # type: ignore[assignment]
        is_timm = "timm_model_name" in self.spec.model["vision_cfg"]
        return tower.trunk if is_timm else tower  # type: ignore[return-value]

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of the inverse temperature, a scalar parameter."""
        scale: Tensor = self.network.logit_scale  # type: ignore[assignment]
        return scale

    def encode_images(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), uint8 or float in [0, 1] -> features (B, m)."""
        out: Tensor = self.network.encode_image(self.normalise(images))  # type: ignore[operator]
        return out

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> token ids (n, L), int64; a longer sentence is cut to L tokens."""
        ids: Tensor = self._tokenizer(list(texts))
        return ids

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Token ids (B, L) -> features (B, m)."""
        out: Tensor = self.network.encode_text(tokens)  # type: ignore[operator]
        return out

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> features (n, m)."""
        return self.encode_tokens(self.tokenize(texts).to(self.mean.device))


def create_clip(
    arch: str | None,
    config: dict[str, Any],
    pretrained: str | None,
    *,
    size: int,
    squash: bool,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
) -> Clip:
    """Build open_clip's `arch`, or the network of `config` (in open_clip's words), for pictures of `size` px.

    `pretrained` is a tag of open_clip, whose weights are downloaded, or a file of weights (safetensors, or a torch
    file that holds weights only). `mean` and `std` are those that the weights were trained with; None: open_clip's.
    Raises UserError for an unknown architecture or tag, a wrong configuration, and weights that do not fit.
    """
    import open_clip  # takes seconds

    model = _configuration(arch, config)
    if pretrained:
        _require_weights(arch, pretrained)
    model["vision_cfg"]["image_size"] = size
    tag = open_clip.get_pretrained_cfg(arch, pretrained) if arch and pretrained else {}
    if tag.get(
        "quick_gelu"
    ):  # OpenAI's weights were trained with it; with the exact GELU they are silently worse
        model["quick_gelu"] = True
    mean = mean or tuple(tag.get("mean") or open_clip.OPENAI_DATASET_MEAN)
    std = std or tuple(tag.get("std") or open_clip.OPENAI_DATASET_STD)
    clip = Clip(_build(model), ClipSpec(model, size, squash, mean, std))
    if pretrained:
        _load_weights(clip.network, pretrained, tag)
    return clip


def save_clip(clip: Clip, folder: Path) -> None:
    """Write configuration and weights to `folder`, atomically."""
    state = {
        name: value.detach().cpu().clone().contiguous() for name, value in clip.network.state_dict().items()
    }
    with atomic_folder(folder) as temporary:
        save_file(state, temporary / WEIGHTS)
        write_json(temporary / CONFIG, clip.spec.as_open_clip(), exact=True)


def load_clip(folder: Path) -> Clip:
    """Read a CLIP that `save_clip` wrote, frozen and in eval mode. Raises UserError when it is not there."""
    if not (folder / CONFIG).exists() or not (folder / WEIGHTS).exists():
        raise UserError(f"{folder} holds no CLIP; run dvc repro clip@{folder.name}")
    config = read_json(folder / CONFIG)
    pictures = config["preprocess_cfg"]
    size = pictures["size"]
    spec = ClipSpec(
        model=config["model_cfg"],
        size=size if isinstance(size, int) else size[0],
        squash=pictures["resize_mode"] == "squash",
        mean=tuple(pictures["mean"]),
        std=tuple(pictures["std"]),
    )
    network = _build(spec.model)
    load_tensors(network, folder / WEIGHTS)
    return Clip(network, spec).eval().requires_grad_(False)


def content_key(folder: Path) -> str:
    """Return 32 hex digits that identify a saved CLIP: a hash of its configuration and its weights."""
    both = sha256_file(folder / CONFIG) + sha256_file(folder / WEIGHTS)
    return hashlib.sha256(both.encode()).hexdigest()[:32]


def _configuration(arch: str | None, config: dict[str, Any]) -> dict[str, Any]:
    import open_clip

    if arch is None:
        missing = {"embed_dim", "vision_cfg", "text_cfg"} - config.keys()
        if missing:
            raise UserError(f"a CLIP's config lacks {', '.join(sorted(missing))}; give it, or name an arch")
        return copy.deepcopy(config)
    known = open_clip.list_models()
    if arch not in known:
        raise UserError(f"open_clip has no model '{arch}'{nearest(arch, known)}")
    known_config: dict[str, Any] = open_clip.get_model_config(arch)
    return known_config


def _build(model: dict[str, Any]) -> nn.Module:
    """Build the network of a configuration with random weights, as open_clip reads it."""
    import open_clip

    import fieldmark.towers.narrow  # noqa: F401  # a name of timm's that a configuration may hold

    with tempfile.TemporaryDirectory() as folder, _quiet():
        (Path(folder) / CONFIG).write_text(json.dumps({"model_cfg": model}), encoding="utf-8")
        try:
            network: nn.Module = open_clip.create_model(
                f"local-dir:{folder}", load_weights=False, pretrained_text=False
            )
        except (TypeError, ValueError, RuntimeError, AssertionError, OSError) as error:
            raise UserError(f"open_clip refuses the CLIP's configuration: {_one_line(error)}") from None
    return network


def _tokenizer(model: dict[str, Any]) -> Any:
    import open_clip

    with tempfile.TemporaryDirectory() as folder, _quiet():
        (Path(folder) / CONFIG).write_text(json.dumps({"model_cfg": model}), encoding="utf-8")
        name = model["text_cfg"].get("hf_tokenizer_name")
        try:
            if name:  # a tokenizer of transformers, downloaded
                length = model["text_cfg"].get("context_length", 77)
                return open_clip.tokenizer.HFTokenizer(
                    name, context_length=length, **model["text_cfg"].get("tokenizer_kwargs", {})
                )
            return open_clip.get_tokenizer(f"local-dir:{folder}")
        except (ImportError, OSError, ValueError) as error:
            raise UserError(
                f"the tokenizer '{name}' of this CLIP is not to be had: {_one_line(error)}"
            ) from None


def _require_weights(arch: str | None, pretrained: str) -> None:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(arch) if arch else []
    if pretrained not in tags and not Path(pretrained).is_file():
        raise UserError(
            f"pretrained: '{pretrained}' is neither a file nor one of open_clip's tags for '{arch}'"
            f"{nearest(pretrained, tags) if tags else ''}"
        )


def _load_weights(network: nn.Module, pretrained: str, tag: dict[str, Any]) -> None:
    """Load the weights of a tag, which are downloaded, or without a tag from the file `pretrained`."""
    import open_clip

    try:
        with _quiet():
            open_clip.load_checkpoint(network, open_clip.download_pretrained(tag) if tag else pretrained)
    except Exception as error:  # the libraries for download and for reading raise errors of many kinds
        what = "cannot be fetched or" if tag else "do not fit the network or cannot be"
        remedy = "; name a local file in place of the tag" if tag else ""
        raise UserError(f"the weights '{pretrained}' {what} read ({_one_line(error)}){remedy}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the root logger, to which open_clip reports everything that it does."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
