"""Fieldmark: five methods for fine-grained and long-tailed visual recognition."""
