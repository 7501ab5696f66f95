"""What is trained: category prompts that look at a picture's tokens, and linear classifiers beside them."""
