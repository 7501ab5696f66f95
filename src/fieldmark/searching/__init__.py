"""Finding pictures that look alike: an index of descriptors on disk, and sheets of what was found."""
