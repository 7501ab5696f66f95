"""Measures of what a model does: pure functions on arrays and tensors."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldmark.evaluation.landmarks import revisited_map
    from fieldmark.evaluation.multilabel import multilabel_map
    from fieldmark.evaluation.retrieval import retrieval_metrics
    from fieldmark.evaluation.segmentation import mean_iou

__all__ = ["mean_iou", "multilabel_map", "retrieval_metrics", "revisited_map"]
_FILES = {
    "mean_iou": "segmentation",
    "multilabel_map": "multilabel",
    "retrieval_metrics": "retrieval",
    "revisited_map": "landmarks",
}


def __getattr__(name: str) -> Any:
    """Import a measure when it is first used: the files of the other measures are then not imported."""
    if name in _FILES:
        return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
