"""IRT: training vision transformers for image retrieval (El-Nouby et al., arXiv 2102.05644)."""

from fieldmark.methods.irt.model.losses import contrastive_loss, koleo_loss
from fieldmark.methods.irt.model.memory import MemoryBank

__all__ = ["MemoryBank", "contrastive_loss", "koleo_loss"]
