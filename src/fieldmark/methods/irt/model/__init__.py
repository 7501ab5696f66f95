"""What is trained: descriptor, memory and losses."""
