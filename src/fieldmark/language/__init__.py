"""Words: noun phrases of captions, and CLIP's view of class names and sentences."""
