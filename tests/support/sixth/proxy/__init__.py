"""Proxy: a linear head on a frozen backbone, trained with a normalised softmax (Zhai and Wu, arXiv 1811.12649)."""
