"""The files of text that trainings read: phrases and prompts."""
