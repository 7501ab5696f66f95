"""What is trained: a linear head, and one proxy per class."""
