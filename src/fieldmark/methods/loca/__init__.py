"""LOCA: location-aware self-supervised transformers (Caron et al., WACV 2024, arXiv 2212.02400)."""

from fieldmark.methods.loca.model.correspondence import position_targets
from fieldmark.methods.loca.model.losses import feature_loss, position_loss, sinkhorn

__all__ = ["feature_loss", "position_loss", "position_targets", "sinkhorn"]
