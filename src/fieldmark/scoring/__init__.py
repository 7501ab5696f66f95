"""Scores of backbones, CLIPs and prompts by themselves, without a method on top."""
