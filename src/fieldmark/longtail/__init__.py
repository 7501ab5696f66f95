"""Head, medium and tail of a long-tailed set of classes."""
