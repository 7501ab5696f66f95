"""IRT: training vision transformers for image retrieval (El-Nouby et al., arXiv 2102.05644)."""

from fieldmark.methods.irt.losses import contrastive_loss, koleo_loss
from fieldmark.methods.irt.memory import MemoryBank
from fieldmark.methods.irt.method import Irt

METHOD = Irt

__all__ = ["METHOD", "Irt", "MemoryBank", "contrastive_loss", "koleo_loss"]
