"""CLIPs trained on pictures and their captions, or taken with their weights."""
