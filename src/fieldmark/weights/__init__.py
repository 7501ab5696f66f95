"""Files of trained weights that params.yaml names: which they are, and how those of this repository are made."""
