"""FRPT: fine-grained retrieval prompt tuning (Wang et al., AAAI 2023, arXiv 2207.14465)."""

from fieldmark.methods.frpt.model.sampler import saliency_grid

__all__ = ["saliency_grid"]
