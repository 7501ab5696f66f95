"""Trained models at work on files: many pictures one after another, and files of what is said of them."""
