"""Where a stage runs: its device, its processes, and trained networks over many pictures."""
