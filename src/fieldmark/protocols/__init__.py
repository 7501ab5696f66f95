"""How methods of one kind are scored side by side: retrieval, multi-label, classification, dense prediction."""
