"""The names that people use outside of the pipeline."""

from importlib import import_module

PUBLIC = {
    "fieldmark": ("load",),
    "fieldmark.evaluation": ("mean_iou", "multilabel_map", "retrieval_metrics", "revisited_map"),
    "fieldmark.language": ("noun_phrases",),
    "fieldmark.methods.cprfl": ("VisualSemanticInteraction", "asymmetric_loss"),
    "fieldmark.methods.frpt": ("saliency_grid",),
    "fieldmark.methods.irt": ("MemoryBank", "contrastive_loss", "koleo_loss"),
    "fieldmark.methods.loca": ("feature_loss", "position_loss", "position_targets", "sinkhorn"),
    "fieldmark.methods.pma": ("ProgressiveMaskAttention", "QueryRelation", "SelfAttentionScore"),
}
NAMES = [(module, name) for module, names in PUBLIC.items() for name in names]


def public(module: str, name: str) -> object:
    """Import a public name as its user does."""
    return getattr(import_module(module), name)
