"""From measurements to figures, one page and a summary."""
