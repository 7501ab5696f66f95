"""CPRFL: category-prompt refined feature learning (Yan et al., ACM Multimedia 2024, arXiv 2408.08125)."""

from fieldmark.methods.cprfl.model.interaction import VisualSemanticInteraction
from fieldmark.methods.cprfl.model.losses import asymmetric_loss

__all__ = ["VisualSemanticInteraction", "asymmetric_loss"]
