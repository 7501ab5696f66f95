"""The classes of a data set as vectors: in the text space of a CLIP, or from a file."""
