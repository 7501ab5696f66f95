"""The methods, one folder each; a folder's `METHOD` is its class. No method imports another."""
