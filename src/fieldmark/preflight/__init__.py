"""What happens before anything runs: presets are laid, and all of params.yaml is checked."""
