"""Networks without a classifier: backbones of several libraries behind one call, and pooling."""
