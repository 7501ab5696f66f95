"""What the files of weights and vectors hold that params.yaml names, so that DVC notices when one changes."""

from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, sha256_file, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.vision.backbones import LIBRARY_WEIGHTS, PACKAGE_WEIGHTS
from fieldmark.vision.packaged import packaged_file

# By section of params.yaml; an item has at most one of them. A value is a file, or a block of several.
FILE_KEYS = {
    "backbones": ("weights",),
    "clip_models": ("pretrained", "image_weights"),
    "prompts": ("vectors",),
}
Digests = str | dict[str, str | None] | None


def write_digests(configuration: Configuration, folder: Path) -> None:
    """Write `folder/<section>/<item>.json` for every item of `FILE_KEYS`: what it names, and the SHA-256 of each file.

    The stages that load such files depend on these small ones. Raises UserError for a file that does not exist and
    for a package that is not installed.
    """
    with atomic_folder(folder) as temporary:
        for section, keys in FILE_KEYS.items():
            for name in configuration.section(section):
                item = configuration.raw_item(section, name)
                key = next((key for key in keys if item.get(key) is not None), keys[0])
                named = item.get(key)
                if section == "backbones" and named == PACKAGE_WEIGHTS:
                    digest: Digests = sha256_file(packaged_file(str(item.get("arch"))))
                else:
                    digest = _digests(named, f"{section}.{name}.{key}")
                write_json(temporary / section / f"{name}.json", {key: named, "sha256": digest})


def _digests(named: str | dict[str, str | None] | None, path: str) -> Digests:
    """Return what `_digest` does of a value, or of every value of a block."""
    if isinstance(named, dict):
        return {key: _digest(value, f"{path}.{key}") for key, value in named.items()}
    return _digest(named, path)


def _digest(weights: str | None, path: str) -> str | None:
    """Return the SHA-256 of a file; None for weights that a library brings or that are yet to be trained."""
    if weights is None or weights == LIBRARY_WEIGHTS:
        return None
    if Path(weights).is_file():
        return sha256_file(Path(weights))
    if Path(weights).suffix:
        raise UserError(f"{path}: file {weights} does not exist")
    return None  # a tag of open_clip
