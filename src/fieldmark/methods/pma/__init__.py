"""PMA: bi-modal progressive mask attention (Song et al., IEEE TIP 29, 2020), and its image-only student."""

from fieldmark.methods.pma.model.attention import QueryRelation, SelfAttentionScore
from fieldmark.methods.pma.model.stack import ProgressiveMaskAttention

__all__ = ["ProgressiveMaskAttention", "QueryRelation", "SelfAttentionScore"]
