"""Timings of hot paths, each beside what it is measured against; run with `make bench`."""
