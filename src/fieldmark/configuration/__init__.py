"""params.yaml as one object, and the checks that its blocks fit together."""
