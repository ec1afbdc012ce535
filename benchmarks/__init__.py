"""Benchmarks of Tinysight against other ways to do the same, as ratios within one run."""
