"""Sentences that a CLIP has embedded before."""
