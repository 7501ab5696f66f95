"""What the files of weights hold that params.yaml names, so that DVC notices when one of them changes."""

from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, sha256_file, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.vision.backbones import LIBRARY_WEIGHTS

WEIGHTS_KEYS = {"backbones": "weights", "clip_models": "pretrained"}  # by section of params.yaml


def write_digests(configuration: Configuration, folder: Path) -> None:
    """Write `folder/<section>/<item>.json` for every backbone and CLIP: its weights, and the SHA-256 of their file.

    The stages that load weights depend on these small files. Raises UserError for a file that does not exist.
    """
    with atomic_folder(folder) as temporary:
        for section, key in WEIGHTS_KEYS.items():
            for name in configuration.section(section):
                weights = configuration.raw_item(section, name).get(key)
                digest = _digest(weights, f"{section}.{name}.{key}")
                write_json(temporary / section / f"{name}.json", {key: weights, "sha256": digest})


def _digest(weights: str | None, path: str) -> str | None:
    """Return the SHA-256 of a file of weights; None for weights that a library brings or that are yet to be trained."""
    if weights is None or weights == LIBRARY_WEIGHTS:
        return None
    if Path(weights).is_file():
        return sha256_file(Path(weights))
    if Path(weights).suffix:
        raise UserError(f"{path}: weights file {weights} does not exist")
    return None  # a tag of open_clip
