"""What happens before anything runs: presets are applied, and all of params.yaml is checked."""
