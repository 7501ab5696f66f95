"""What is trained: phrase encoder, progressive mask attention, classifier."""
