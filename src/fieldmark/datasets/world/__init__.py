"""The procedural default world: birds with field marks, and a base world of other things."""
