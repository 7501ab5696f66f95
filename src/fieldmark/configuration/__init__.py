"""params.yaml as one object, and what holds its blocks together."""
