"""Data: sources, the packed image store, the manifest, splits, validation, loading."""
