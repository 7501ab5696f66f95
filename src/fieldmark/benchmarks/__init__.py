"""Timings of the code that runs most often, each compared with a simpler alternative; run with `make bench`."""
