"""Whether what reads a data set can do with the squares that it keeps, where it keeps such (`datasets.X.shape`)."""

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.data.batches.transforms import ImageParams


def require_fine_enough(configuration: Configuration, dataset: str, block: Block, where: str) -> None:
    """Raise UserError where a block at `where` asks for other pictures than squares no larger than those kept.

    Larger ones are let pass where its `images.enlarge` says so.
    """
    kept = _squares(configuration, dataset)
    for key, images in block:
        if kept is None or not isinstance(images, ImageParams):
            continue
        side = max(images.resize or images.side, images.side)
        if images.shape != "square" or (side > kept and not images.enlarge):
            raise UserError(
                f"{where}.{key} asks for pictures resized to {side} px ({images.shape}), but '{dataset}' keeps "
                f"squares of {kept} px; {_originals(dataset)}"
            )


def require_cuttable(configuration: Configuration, dataset: str, where: str) -> None:
    """Raise UserError where pictures are kept as squares that are to be cut to boxes: what is cut would be squeezed."""
    kept = _squares(configuration, dataset)
    if kept is not None:
        raise UserError(
            f"{where} cuts pictures to boxes, but '{dataset}' keeps squares of {kept} px; {_originals(dataset)}"
        )


def _squares(configuration: Configuration, dataset: str) -> int | None:
    """Return the side of the squares that a data set keeps; None where pictures keep their proportions."""
    params = configuration.item("datasets", dataset, DatasetParams)
    return params.side if params.shape == "square" else None


def _originals(dataset: str) -> str:
    settings = {"side": "null", "encoding": "jpeg", "shape": "shorter_side"}
    return "set " + " ".join(f"datasets.{dataset}.{key}={value}" for key, value in settings.items())
