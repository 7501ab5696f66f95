"""What is trained: the prompt before a frozen backbone, and the head behind it."""
