"""The console command `fieldmark`: trained models at work on a user's pictures."""
