"""What backbones, CLIPs and prompts can do by themselves."""
