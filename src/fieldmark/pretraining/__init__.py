"""Backbones trained on a labelled split, or taken with their weights."""
