"""Benchmarks: each prints JSON and compares itself with a floor measured in the same run.
Nothing in the application imports from here, the command line apart."""
